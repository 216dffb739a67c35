"""Hugging Face datasets' interleave_datasets, on rows whose lengths differ from domain to domain."""

from collections.abc import Iterator
from itertools import chain, repeat

from tests.support.loaders.order import LENGTH, Order, answer

ROWS = 4  # documents of the first domain that one row of LENGTH tokens holds; of the others: one


def draw(order: Order) -> Iterator:
    import datasets

    def rows(domain):
        length = LENGTH // (ROWS if domain.token == 1 else 1)
        told = {"tokens": [[domain.token] * length] * (domain.rows * LENGTH // length)}
        return datasets.Dataset.from_dict(told)

    train = order.module("hf_mixture.py").train_dataset
    mixed = train({domain.name: rows(domain) for domain in order.domains})
    return chain.from_iterable(repeat(mixed["tokens"]))


if __name__ == "__main__":
    answer(draw)
