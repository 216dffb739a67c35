"""Text of datasets on the Hugging Face hub, streamed with the `datasets` package (requirements-hub.txt)."""

from collections.abc import Iterator

from engine.core.errors import Problem
from engine.corpus.document import Document, Tally, documents_of
from engine.corpus.fields import TEMPLATE, TEXT, Fields

FIELDS = ("name", "config", "split", "text", "template")


def of_dataset(choice: dict, tally: Tally) -> Iterator[Document]:
    """The documents of {"name", "config", "split" (default "train"), "text" (column, default "text"), "template"}.

    Raises Problem when the package is missing, the hub cannot be reached, or the column is not there.
    """
    if not isinstance(choice, dict) or not isinstance(choice.get("name"), str) or set(choice) - set(FIELDS):
        raise Problem(f"Cannot use the dataset {choice!r}. Give an object with {', '.join(FIELDS)}; name is needed.")
    name, fields = choice["name"], Fields(choice.get("text", TEXT), choice.get("template", TEMPLATE))
    try:
        from datasets import load_dataset
    except ImportError:
        raise Problem(
            f"Cannot read {name!r} from the hub: the package `datasets` is not installed. "
            "Install it with `pip install -r requirements-hub.txt`."
        ) from None
    tally.listed = None  # a stream does not say how much there is
    try:
        rows = load_dataset(name, choice.get("config"), split=choice.get("split", "train"), streaming=True)
        for number, row in enumerate(rows):
            written, fault = fields.written(row)
            if fault:
                raise Problem(
                    f"Cannot read {name!r}: row {number}: {fault}. Give the name of a column of text as text."
                )
            yield from documents_of(f"{name}#{number}", written, "", tally)
    except (Problem, GeneratorExit):
        raise
    except Exception as error:  # the hub's client, its HTTP library and its file formats raise anything
        raise Problem(
            f"Cannot read {name!r} from the hub: {type(error).__name__}: {str(error)[:300]}. "
            "Check the name, config and split, and that this machine can reach the hub."
        ) from error
