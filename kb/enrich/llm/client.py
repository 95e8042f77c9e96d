"""The one client: asks a language model by schema, within limits, and never twice for the same.

    answer = client.ask(prompt, values, WindowAnswer, scope)

An answer is kept by the SHA-256 of all that was asked, bad ones too: the second run of a step makes
no call. An answer that is not of the schema is repaired once; then BadAnswer is raised, and the
caller divides its input.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from kb.database import Database
from kb.enrich.llm.answers import plain
from kb.enrich.llm.endpoint import Endpoint, find_endpoint
from kb.enrich.llm.errors import BadAnswer, CutAnswer, Declined
from kb.enrich.llm.ledger import Ledger, Plan, StoredAnswer, Usage
from kb.enrich.llm.prompts import Prompt
from kb.enrich.llm.transport import Arrived, LostError, NotSentError, send, whole
from kb.errors import KBError, RetryLater
from kb.settings import Settings
from kb.settings.language_models import read_caps
from kb.storage.validation import first_mistake

TRIES = 3  # of one question
LONGEST_WAIT_S = 30.0  # for a service that asks to wait; a longer one ends the attempt
PAUSE_S = 1.0  # before the second try; it doubles
OVERHEAD_TOKENS = 64  # of a message's own marks, more than any known service counts
_DECLINED, _TOOLS = "declined", "tool_calls"

Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Scope:
    """For whom a question is asked; with `fresh` only answers that this run got count as kept."""

    item_id: str = ""
    run: str = ""
    fresh: bool = False


@dataclass(slots=True)
class Tally:
    """Tokens and price of the questions of one client; `price` is None once one is not known."""

    calls: int = 0
    kept: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    unknown: int = 0
    price: float | None = 0.0


class LanguageModel:
    """Asks one service. `pause` waits for seconds between two tries."""

    def __init__(
        self, endpoint: Endpoint, ledger: Ledger, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.endpoint, self.ledger, self.tally = endpoint, ledger, Tally()
        self._pause = pause

    @classmethod
    def open(
        cls, settings: Settings, database: Database, longest_answer: int | None = None
    ) -> LanguageModel:
        """Return the client of the configured service. Raises ModelUnavailable, SettingsError.

        An answer has at most `longest_answer` tokens, or as many as the table of models says.
        """
        caps = read_caps(settings.llm_token_caps), read_caps(settings.llm_price_caps)
        endpoint = find_endpoint(settings)
        if longest_answer is not None and longest_answer < endpoint.row.answer:
            row = endpoint.row.model_copy(update={"answer": longest_answer})
            endpoint = replace(endpoint, row=row)
        return cls(endpoint, Ledger(database, *caps))

    def ask(
        self, prompt: Prompt, values: Mapping[str, object], schema: type[Answer], scope: Scope
    ) -> Answer:
        """Return the answer to a prompt with these values.

        Raises BadAnswer (cut, declined, of another form), UsageError (a limit, a key) and errors
        that may pass.
        """
        messages = [
            {name: whole(text) for name, text in message.items()}
            for message in prompt.messages(**values)
        ]
        form = strict_schema(schema)
        asked = f"{prompt.name} {prompt.version}"
        found = self._answer(prompt, messages, form, scope, asked)
        try:
            return _read(found, schema)
        except (CutAnswer, Declined):
            raise
        except BadAnswer as error:
            repair = [
                *messages,
                {"role": "assistant", "content": found.text or "{}"},
                {"role": "user", "content": f"This is not the JSON object that was asked for "
                 f"({error.message}). Answer with that object alone."},
            ]  # fmt: skip
            return _read(self._answer(prompt, repair, form, scope, f"{asked} repair"), schema)

    def fits(self, text: str) -> bool:
        """Return False for a text that is too long for one question with its answer."""
        room = self.endpoint.row.context - self.endpoint.row.answer
        return upper_bound([{"content": text}], {}) <= room

    def _answer(
        self, prompt: Prompt, messages: Sequence[Mapping[str, str]], form: Mapping[str, Any],
        scope: Scope, purpose: str,
    ) -> StoredAnswer:  # fmt: skip
        keys = [self._key(prompt, messages, form)]
        if scope.fresh:  # the steps of one run share their questions, also after a kill
            keys.append(hashlib.sha256(f"{keys[0]} {scope.run}".encode()).hexdigest())
        is_kept = not scope.fresh or bool(scope.run)
        if is_kept and (kept := self.ledger.find(keys[-1])) is not None:
            self.tally.kept += 1
            return kept
        row = self.endpoint.row
        sent = upper_bound(messages, form)
        price = row.price(sent, row.answer)
        plan = Plan(
            self.endpoint.model, purpose, scope.item_id, scope.run, sent + row.answer, price
        )
        for number in range(1, TRIES + 1):
            booking = self.ledger.reserve(plan)
            try:
                arrived = send(self.endpoint, messages, form, row.answer)
            except NotSentError as error:
                self.ledger.release(booking)
                self._wait(number, error.cause, error.wait_s)
            except LostError as error:
                self.ledger.settle(booking, None, None)
                self.tally.unknown += 1
                self._wait(number, error.cause, None)
            else:
                answer = _stored(arrived)
                used = arrived.usage
                paid = row.price(used.tokens_in, used.tokens_out) if used else None
                self.ledger.settle(booking, used, paid, keys, answer)
                self._count(used, paid)
                return answer
        raise AssertionError("the last try raises")

    def _wait(self, number: int, error: KBError, wait_s: float | None) -> None:
        """Wait for the next try; raise the error if there is none."""
        longest = LONGEST_WAIT_S
        if not error.retryable or number >= TRIES or (wait_s or 0.0) > longest:
            if isinstance(error, RetryLater) and wait_s is not None:
                error.until = self.ledger.now() + wait_s
            raise error
        own_s = PAUSE_S * 2 ** (number - 1) * random.uniform(1.0, 1.5)
        self._pause(own_s if wait_s is None else wait_s)

    def _count(self, used: Usage | None, paid: float | None) -> None:
        tally = self.tally
        tally.calls += 1
        if used is None:
            tally.unknown += 1
        else:
            tally.tokens_in += used.tokens_in
            tally.tokens_out += used.tokens_out
        tally.price = None if tally.price is None or paid is None else tally.price + paid

    def _key(
        self, prompt: Prompt, messages: Sequence[Mapping[str, str]], form: Mapping[str, Any]
    ) -> str:
        row = self.endpoint.row
        parts = {
            "prompt": [prompt.name, prompt.version, prompt.digest],
            "service": [self.endpoint.url, self.endpoint.model, self.endpoint.adapter],
            "parameters": [row.format, row.limit, row.answer, row.temperature],
            "schema": form, "messages": list(messages),
        }  # fmt: skip
        text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


def upper_bound(messages: Sequence[Mapping[str, str]], form: Mapping[str, Any]) -> int:
    """Return more tokens than any tokenizer makes of these texts: one for each byte of UTF-8."""
    texts = [str(message.get("content", "")) for message in messages]
    size = sum(len(text.encode("utf-8", "replace")) + OVERHEAD_TOKENS for text in texts)
    return size + (len(json.dumps(form)) if form else 0)


def strict_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """Return a JSON schema as the services take it: all fields required, no others allowed."""
    found = schema.model_json_schema()
    definitions = found.pop("$defs", {})

    def strict(value: Any) -> Any:
        if isinstance(value, list):
            return [strict(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return strict(definitions[value["$ref"].rpartition("/")[2]])
        # Limits of length and range are checked here; not every service takes them.
        known = {"type", "properties", "items", "enum", "anyOf", "const"}
        kept = {name: each for name, each in value.items() if name in known}
        if "properties" in kept:
            kept["properties"] = {k: strict(v) for k, v in kept["properties"].items()}
            kept.update(required=list(kept["properties"]), additionalProperties=False)
        for name in ("items", "anyOf"):
            if name in kept:
                kept[name] = strict(kept[name])
        return kept

    result: dict[str, Any] = strict(found)
    return result


def _stored(arrived: Arrived) -> StoredAnswer:
    ending = arrived.ending
    if arrived.was_declined:
        ending = _DECLINED
    elif arrived.calls_tools:
        ending = _TOOLS
    return StoredAnswer(arrived.text, ending)


def _read(answer: StoredAnswer, schema: type[Answer]) -> Answer:
    """Return an answer by its schema. Raises BadAnswer."""
    if answer.ending == "length":
        raise CutAnswer(
            "llm.cut",
            "The answer was cut off at the limit of its length.",
            hint="A shorter part is asked for.",
        )
    if answer.ending == _DECLINED:
        raise Declined(
            "llm.declined",
            "The language model declined to answer.",
            hint="Another model may answer: KB_LLM_MODEL.",
        )
    try:
        if answer.ending == _TOOLS:
            raise ValueError("a call of a tool")
        return schema.model_validate(json.loads(_without_fence(answer.text)))
    except ValidationError as error:
        field, problem = first_mistake(error)
        # The answer may have fields with names of its own: such a name is a text of the model, too.
        reason = plain(f"{field}: {problem}") or problem
    except (ValueError, RecursionError) as error:
        reason = "it is empty" if not answer.text.strip() else str(error).partition(":")[0]
    raise BadAnswer(
        "llm.form",
        "The answer has another form than was asked for: {reason}.",
        hint="A shorter part is asked for; if it happens often, another model may do better.",
        reason=reason[:200],
    )


def _without_fence(text: str) -> str:
    """Return JSON without the fence of Markdown that some models put around it."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        text = text[text.index("\n") : -3]
    return text
