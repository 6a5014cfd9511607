"""What requests hold and what answers hold: the fields, their defaults, their bounds.

FastAPI checks requests against these classes, and makes the OpenAPI document of them.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

MOST_TOKENS = 10_000  # of an answer; the time limit comes first for most models
WEIGHTS = 2**20  # of an answer: one of GPT-2's heads at full length, about 10 MB
GREATEST = 2**53 - 1  # whole numbers beyond it are not the same in every JSON reader


def _whole(value):
    """JSON has one kind of number: 5.0 is the whole number 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def whole(least, most=GREATEST):
    """The type of a whole number within bounds."""
    return Annotated[int, Field(ge=least, le=most), BeforeValidator(_whole)]


Id = whole(0)


class Request(BaseModel):
    """What all requests have in common: no conversions, no fields that nobody knows."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class GenerateRequest(Request):
    """A text to be continued, and how its tokens are chosen."""

    prompt: str = Field(
        description="The text to be continued. It may be empty where the tokenizer has "
        "an end token, and must fit into the model's context.",
        examples=["Once there was a girl"],
    )
    max_tokens: whole(1, MOST_TOKENS) = Field(
        50, description="How many tokens are written at most."
    )
    strategy: Literal["greedy", "top-k", "top-p", "sample"] = Field(
        "greedy",
        description="Always the likeliest token, or one drawn: from the k likeliest, "
        "from the fewest that together have probability p, or from all.",
    )
    k: whole(1) = Field(50, description="For top-k: of how many tokens one is drawn.")
    p: float = Field(
        0.9, gt=0, le=1, description="For top-p: the probability that is kept."
    )
    temperature: float = Field(
        1.0,
        ge=0,
        description="What logits are divided by before a draw: under 1 the likely "
        "becomes likelier, 0 is greedy.",
    )
    seed: whole(0) | None = Field(
        None,
        description="The same seed writes the same text; null is another each time.",
    )

    def sampling(self):
        """The settings of `mg.generate`: temperature, top_k, top_p."""
        draws = self.strategy != "greedy"
        return {
            "temperature": self.temperature if draws else 0.0,
            "top_k": self.k if self.strategy == "top-k" else None,
            "top_p": self.p if self.strategy == "top-p" else None,
        }


class Params(BaseModel):
    """Every value that an answer was written with: sent again, they write it again."""

    max_tokens: int
    strategy: str
    k: int
    p: float
    temperature: float
    seed: int | None = Field(
        description="The seed that was drawn with, also where the request gave none; "
        "null where nothing was drawn."
    )


class GenerateAnswer(BaseModel):
    """The prompt with what follows it."""

    generated_text: str = Field(description="It begins with the prompt.")
    prompt: str
    params: Params


class TextRequest(Request):
    """A text."""

    text: str = Field(examples=["Once there was a girl"])


class LogitsRequest(Request):
    """The ids of a text."""

    ids: list[Id] = Field(min_length=1, examples=[[0]])


class AttentionRequest(Request):
    """A text, or its ids, and which of the model's heads to show; null is all."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["text"]}, {"required": ["ids"]}]}
    )

    text: str = Field("", description="A text.", examples=["Once there was a girl"])
    ids: list[Id] = Field(
        [], min_length=1, description="In its place, the ids that the model is to read."
    )
    layer: Id | None = Field(None, description="Null is all of them.")
    head: Id | None = Field(None, description="Null is all of them.")

    @model_validator(mode="after")
    def _one(self):
        if len(self.model_fields_set & {"text", "ids"}) != 1:
            raise ValueError("needs a text or ids, and not both")
        return self


class AttentionAnswer(BaseModel):
    """Where the tokens of a text look."""

    tokens: list[str] = Field(
        description="The T tokens as the model reads them: for models that learn from "
        "whole texts, an end token comes first."
    )
    ids: list[int]
    layers: list[int] = Field(description="The L layers that are shown.")
    heads: list[int] = Field(description="The H heads of each that are shown.")
    weights: list[list[list[list[float]]]] = Field(
        description="(L, H, T, T): how much each token, a row, takes from each."
    )


class TokenizeAnswer(BaseModel):
    """The tokens of a text."""

    ids: list[int]
    tokens: list[str] = Field(
        description="The text of each; a byte that is only part of a character shows "
        "as \\xe2."
    )


class Health(BaseModel):
    """How the server is."""

    status: Literal["ok", "failed"]
    model_loaded: bool
    model: str
    version: str
    running: int = Field(description="Texts that are being written.")
    queued: int = Field(description="Requests that wait for a place.")
    detail: str | None = Field(None, description="Why the model could not be loaded.")


class Problem(BaseModel):
    """What was wrong and what would do, in a sentence: the shape of every error."""

    detail: str
