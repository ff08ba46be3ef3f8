"""The parser on generated text: what it must never do, and what it must not depend on."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hglm.errors import FormulaError
from hglm.formula import RandomTermFormula, parse_formula, parse_predictor

NAMES = st.sampled_from(["x", "z", "days", "a.b", "x_1", "`odd name`", "log(x)", "I(x ** 2)"])
FACTORS = st.sampled_from(["g", "subject", "h2", "site.id", "`odd group`"])
GAPS = st.text(alphabet=" \n\t", max_size=2)


@dataclass(frozen=True)
class Bar:
    """One generated bar term and the records it stands for."""

    structure: str
    intercept: bool
    columns: tuple[str, ...]
    factors: tuple[str, ...]
    nested: bool

    def tokens(self) -> list[str]:
        first = "1" if self.intercept else "0"
        columns = [token for name in (first, *self.columns) for token in ("+", name)][1:]
        sign = "/" if self.nested else ":"
        group = [token for name in self.factors for token in (sign, name)][1:]
        return [*columns, "|", *group]

    def records(self) -> list[RandomTermFormula]:
        columns = " + ".join(["1" if self.intercept else "0", *self.columns])
        names = [name.strip("`") for name in self.factors]
        groups = [tuple(names)]
        if self.nested:
            groups = [tuple(reversed(names[:depth])) for depth in range(len(names), 0, -1)]
        return [RandomTermFormula(columns, group, self.structure or "us") for group in groups]


BARS = st.builds(
    Bar,
    structure=st.sampled_from(["", "us", "diag", "cs"]),
    intercept=st.booleans(),
    columns=st.lists(NAMES, unique=True, min_size=1, max_size=3).map(tuple),
    factors=st.lists(FACTORS, unique=True, min_size=1, max_size=3).map(tuple),
    nested=st.booleans(),
)


@given(bars=st.lists(BARS, max_size=4), data=st.data())
def test_generated_bar_terms_come_back_whatever_the_white_space(bars, data):
    def spaced(tokens):
        return "".join(token + data.draw(GAPS) for token in tokens)

    text = "y ~" + spaced(["", "w"])
    for bar in bars:
        text += "+" + data.draw(GAPS) + bar.structure + "(" + spaced(bar.tokens()) + ")"
    records = [record for bar in bars for record in bar.records()]
    assume(len({(r.columns, r.factors) for r in records}) == len(records))
    formula = parse_formula(text + data.draw(GAPS))
    found = [
        RandomTermFormula(term.columns, term.factors, term.structure)
        for term in formula.mean.random
    ]
    assert found == records
    assert formula.mean.fixed == "1 + w"


@given(bar=BARS)
def test_the_span_of_a_bar_term_is_the_term(bar):
    term = bar.structure + "(" + "".join(bar.tokens()) + ")"
    text = "y ~ w + " + term + " + v"
    for record in parse_formula(text).mean.random:
        start, stop = record.span
        assert text[start:stop] == term


PIECES = st.sampled_from(
    [
        *"()[]{}|~+-*/:^%=.,;$&<>!@#'\"`\\ \n",
        *("||", "**", "y", "x", "g", "1", "0", "2.5", "log(x)", "us(", "cs(x|g)", "(1 | g)"),
        *("offset(x)", "cbind(", "C(x", "I(", "`a b`", "'s'", "%in%", "TRUE", "random ="),
    ]
)


@settings(max_examples=400)
@given(text=st.one_of(st.text(max_size=30), st.lists(PIECES, max_size=12).map("".join)))
@example("y ~ (1 | g) + (")
@example("y ~ x[1")
@example("y ~ {x}")
@example("y ~ \\")
@example("y ~ (((1|g)")
@example("y ~ x ** 100")
@example("")
def test_no_text_raises_anything_but_a_formula_error(text):
    for parse, source in (
        (parse_formula, text),
        (parse_formula, "y ~ " + text),
        (parse_predictor, "~" + text),
    ):
        error = refusal(parse, source)
        if error is not None:
            start, stop = error.span
            assert 0 <= start < stop <= max(1, len(source)), "the caret is inside the text"
            assert error.message.endswith((".", "?"))


def refusal(parse, source):
    """Return the formula error that a text raises, if it does."""
    try:
        parse(source)
    except FormulaError as error:
        return error
    return None


@given(bars=st.lists(BARS, min_size=1, max_size=3))
def test_parsing_its_own_canonical_text_changes_nothing(bars):
    records = [record for bar in bars for record in bar.records()]
    assume(len({(r.columns, r.factors) for r in records}) == len(records))
    text = "y ~ w + " + " + ".join(
        bar.structure + "(" + " ".join(bar.tokens()) + ")" for bar in bars
    )
    first = parse_formula(text).mean
    quoted = [":".join(f"`{factor}`" for factor in term.factors) for term in first.random]
    again = parse_formula(
        f"y ~ {first.fixed}"
        + "".join(
            f" + {term.structure}({term.columns} | {group})"
            for term, group in zip(first.random, quoted, strict=True)
        )
    ).mean
    assert again.fixed == first.fixed
    assert [(t.columns, t.factors, t.structure) for t in again.random] == [
        (t.columns, t.factors, t.structure) for t in first.random
    ]
