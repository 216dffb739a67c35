"""The stops of the tour: which pages it leads over, and what it says there; one for each kind of study."""

from typing import NamedTuple


class Stop(NamedTuple):
    """A page's path, and a few sentences (Markdown) about what to look at there."""

    path: str
    words: str


STUDIES = Stop(
    "studies",
    "A **study** is one question, and each card is one study: how far its work is, and its answer in a sentence with "
    "how sure that is. *Where the numbers come from* lists the runs behind every number.",
)
DECISION = (
    Stop(
        "candidates",
        "A **candidate** is a point that somebody nominated. Colleagues comment, vote between two, and approve or "
        "reject it; its predictions are frozen, so that what is measured later can be compared with them.",
    ),
    Stop(
        "export",
        "The chosen point leaves as a file that a training or merging tool reads, with the seeds and versions that it "
        "takes to reproduce it. That is the end of the tour: **New study** on *Studies* starts one on your own text.",
    ),
)
STOPS = {
    "mixture": (
        STUDIES,
        Stop(
            "corpus",
            "A **corpus** is text in **domains**, each split into training and validation text. *New corpus* reads a "
            "folder, files or a data set; what could not be read is listed with the reason.",
        ),
        Stop(
            "runs",
            "Every line is a **run**: a small **proxy** model trained on one mixture, and the loss it reached on each "
            "domain. Drag along an axis to keep some of them; choose one in the table to see its curve.",
        ),
        Stop(
            "explore",
            "The desk. Move a **fader**: the other domains give way, and the losses at that mixture are predicted at "
            "once. Each number has its 95% interval; what is within noise is said. The badge tells how near the runs "
            "are. *A* to *D* keep positions, Ctrl+Z takes a move back.",
        ),
        Stop(
            "leaderboard",
            "Predictions come from a **surrogate**. Several compete in predicting runs that they were not shown; the "
            "default is chosen by how good its recommended mixtures are and how honest its intervals.",
        ),
        Stop(
            "search",
            "Which mixture has the lowest predicted loss? Set how much each domain counts and what shares are allowed, "
            "search, and see how much better than the baselines the answer is, and how many others are as good.",
        ),
        Stop(
            "confirm",
            "Proxies are small. Here the answer and its baselines are trained again, larger and with several seeds, "
            "and the page says how many seeds a claim needs before you pay for them.",
        ),
        *DECISION,
    ),
    "merge": (
        STUDIES,
        Stop(
            "runs",
            "Every line is a **merge**: coefficients of the experts, and the loss that the merged model measured on "
            "each domain. Nothing is trained for it, so there can be many.",
        ),
        Stop(
            "explore",
            "The desk of **coefficients**. Move a fader: the losses are predicted at once, and measured a moment "
            "later. The details below show slices, trade-offs and which layers the experts changed.",
        ),
        Stop(
            "search",
            "A search measures the merges that it learns most from, one after another, until it is told to stop. "
            "Data-driven methods learn their coefficients from text.",
        ),
        *DECISION,
    ),
}
