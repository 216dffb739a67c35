"""Chat templates of a merge: the one that most of its models have, a known one by its name, or a text."""

import json
from collections import Counter
from pathlib import Path

import jinja2

from engine.core.errors import Problem
from engine.merging.checkpoints.files import table

FILE, CONFIG = "chat_template.jinja", "tokenizer_config.json"
AUTO = "auto"
LEAST = 20  # characters; shorter texts, and those without a brace, are names of templates
DEFAULT = "default"  # of several named templates
TURNS = "{%- for message in messages %}"
USER = "{%- if message['role'] == 'user' %}"
REPLY = "{%- elif message['role'] == 'assistant' %}"
SYSTEM = "{%- elif message['role'] == 'system' %}"
PROMPT = "{%- if add_generation_prompt %}"
# How models of these kinds were taught to see turns, by their makers' published templates (jinja, as loaders run it).
KNOWN = {
    "chatml": TURNS
    + "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{%- endfor %}"
    + PROMPT
    + "{{- '<|im_start|>assistant\\n' }}{%- endif %}",
    "llama3": "{{- bos_token }}"
    + TURNS
    + "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim }}"
    + "{{- '<|eot_id|>' }}{%- endfor %}"
    + PROMPT
    + "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}",
    "mistral": "{{- bos_token }}{%- set told = namespace(system='') %}"
    + TURNS
    + USER
    + "{{- ' [INST] ' + told.system + message['content'] + ' [/INST]' }}{%- set told.system = '' %}"
    + REPLY
    + "{{- ' ' + message['content'] + eos_token }}"
    + SYSTEM
    + "{%- set told.system = message['content'] + '\\n\\n' %}{%- endif %}{%- endfor %}",
    "alpaca": TURNS
    + SYSTEM.replace("elif", "if")
    + "{{- message['content'] | trim + '\\n\\n' }}"
    + USER.replace("if", "elif", 1)
    + "{{- '### Instruction:\\n' + message['content'] | trim + '\\n\\n' }}"
    + REPLY
    + "{{- '### Response:\\n' + message['content'] | trim + '\\n\\n' }}{%- endif %}{%- endfor %}"
    + PROMPT
    + "{{- '### Response:\\n' }}{%- endif %}",
    "exaone": TURNS
    + "{%- if loop.first and message['role'] != 'system' %}{{- '[|system|][|endofturn|]\\n' }}{%- endif %}"
    + "{{- '[|' + message['role'] + '|]' + message['content'] }}"
    + USER
    + "{{- '\\n' }}{%- else %}{{- '[|endofturn|]\\n' }}{%- endif %}{%- endfor %}"
    + PROMPT
    + "{{- '[|assistant|]' }}{%- endif %}",
}


def template_of(folder: Path) -> str | None:
    """A model's chat template, of several the one called default; None if it has none."""
    if (folder / FILE).is_file():
        return (folder / FILE).read_text("utf-8").strip() or None
    if not (folder / CONFIG).is_file():
        return None
    try:
        found = table((folder / CONFIG).read_bytes()).get("chat_template")
    except (OSError, ValueError) as error:
        raise Problem(f"Cannot read {folder / CONFIG}: {error}. Copy it again from the model's source.") from error
    if isinstance(found, list):
        found = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}.get(DEFAULT)
    return found.strip() or None if isinstance(found, str) else None


def chosen(asked: str, homes: dict[str, Path]) -> tuple[str | None, list[str]]:
    """The template of a merge, None if there is none to choose, and what to know of the choice.

    asked: "auto", a known name, or a text; homes: the models' folders of tokenizers, the lead first. Raises Problem for
    a name that is unknown and a text that is no template.
    """
    if asked == AUTO:
        return commonest(homes)
    if asked in KNOWN:
        return KNOWN[asked], []
    if len(asked) < LEAST or "{" not in asked:
        raise Problem(
            f"Cannot use {asked!r:.80} as chat_template: it is auto, one of {', '.join(KNOWN)}, or the text of a "
            "template in Jinja."
        )
    if "generation %}" not in asked and "generation -%}" not in asked:  # a tag of transformers' own
        try:
            jinja2.Environment(extensions=["jinja2.ext.loopcontrols"]).parse(asked)
        except jinja2.TemplateSyntaxError as error:
            raise Problem(f"Cannot use the chat_template: line {error.lineno}: {error}. Fix it.") from error
        except (RecursionError, ValueError) as error:  # nested too deep; a number of too many digits
            raise Problem(f"Cannot use the chat_template: {error}. Fix it.") from error
    return asked, []


def commonest(homes: dict[str, Path]) -> tuple[str | None, list[str]]:
    """The template that most models have; of equally common ones the first, so the lead's where it is one."""
    own = {name: found for name, home in homes.items() if home.is_dir() and (found := template_of(home))}
    if not own:
        return None, ["chat_template is auto, and no model has a template: the merge has none."]
    ((text, count), *rest) = Counter(own.values()).most_common()
    having = [name for name, found in own.items() if found == text]
    if not rest:
        return text, []
    tie = " (as many have another)" if rest[0][1] == count else ""
    return text, [
        f"The models have {len(rest) + 1} different chat templates: the merge takes that of {', '.join(having)}{tie}."
    ]


def with_template(found: dict[str, bytes], template: str) -> dict[str, bytes]:
    """A tokenizer's files with a chat template, where older and newer loaders look for it."""
    found = found | {FILE: template.encode()}
    if CONFIG in found:
        settings = table(found[CONFIG]) | {"chat_template": template}
        found[CONFIG] = json.dumps(settings, indent=2, ensure_ascii=False).encode()
    return found
