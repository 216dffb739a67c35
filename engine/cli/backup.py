"""Commands for backups and data: a whole workspace as one archive, a study's runs as a table."""

from engine.cli.files import new_output
from engine.core.files import given_path
from engine.core.workspace import Workspace


def add(command) -> None:
    one = command("backup", backup, "write the whole workspace into one archive, also while the page runs")
    one.add_argument("file", type=given_path, metavar="FILE.tar.zst", help="the archive to write")
    one.add_argument("--checkpoints", action="store_true", help="include checkpoints and the proxies' weights")
    one.set_defaults(alone=True)
    one = command("restore", restore, "restore a workspace from an archive")
    one.add_argument("file", type=given_path, metavar="FILE.tar.zst", help="the archive")
    one.add_argument("folder", type=given_path, metavar="FOLDER", help="the new workspace; it must not exist yet")
    said = "what becomes of its waiting jobs and unfinished studies: without this, an archive with some is refused"
    one.add_argument("--jobs", choices=("run", "cancel"), default="ask", help=said)
    one.set_defaults(alone=True)
    one = command("export-runs", export_runs, "write a study's runs as CSV or Parquet", study=True)
    one.add_argument("file", type=given_path, metavar="FILE.csv|FILE.parquet", help="the table to write")
    one.add_argument("--force", action="store_true", help="overwrite an existing file")


def backup(client, workspace, options):
    from engine.service.backup import backup as write

    return write(Workspace.there(options.workspace), options.file, options.checkpoints)


def restore(client, workspace, options):
    from engine.service.restore import restore as read

    return read(options.file, options.folder, options.jobs)


def export_runs(client, workspace, options):
    from engine.importing.run_table import write

    new_output(options.file, options.force)
    rows = client.call("list_runs", name=options.study)
    return {"written": str(write(rows, options.file)), "runs": len(rows)}
