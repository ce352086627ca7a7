"""How LNURL is answered: JSON, readable from any origin, and every error as HTTP 200."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from agent.journal.errors import JournalError
from agent.ports.errors import AgentError, Refused
from agent.talk.wording import as_sentence, refusal_sentence
from agent.talk.words import Words, preferred_language, words
from bridge.limits import RateLimit
from bridge.linking import LinkingError
from nips.errors import InvalidZapRequest

Answer = Mapping[str, Any]
Handler = Callable[[Request], Awaitable[Answer]]
Endpoint = Callable[[Request], Awaitable[Response]]

_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, OPTIONS",
    "Access-Control-Allow-Headers": "*",
    "Cache-Control": "no-store",
}
_log = logging.getLogger(__name__)


class BadRequest(Exception):
    """A parameter is missing or wrong; the text is a sentence for the driver."""


def json_response(answer: Answer) -> Response:
    """An answer as a wallet expects it."""
    body = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return Response(body, media_type="application/json", headers=_CORS)


def error_response(reason: str) -> Response:
    """An error as a wallet expects it (LUD-01): HTTP 200, status ERROR."""
    return json_response({"status": "ERROR", "reason": reason})


def client_address(request: Request) -> str:
    """The address of the one who asks, as the server in front of us says."""
    return request.client.host if request.client else ""


def words_for(request: Request, default: str) -> Words:
    """The words of the language that the one who asks prefers."""
    return words(preferred_language(request.headers.get("accept-language", ""), default))


def one(query: QueryParams, name: str, max_chars: int) -> str | None:
    """A query parameter that may stand once; None when it is absent.

    Raises:
        BadRequest: it is repeated or too long.
    """
    values = query.getlist(name)
    if len(values) > 1:
        raise BadRequest(f'The parameter "{name}" was given more than once.')
    if values and len(values[0]) > max_chars:
        raise BadRequest(f'The parameter "{name}" is longer than {max_chars} characters.')
    return values[0] if values else None


def required(query: QueryParams, name: str, max_chars: int) -> str:
    """A query parameter that must stand once; raises BadRequest."""
    value = one(query, name, max_chars)
    if not value:
        raise BadRequest(f'The parameter "{name}" is missing.')
    return value


def endpoint(handler: Handler, limit: RateLimit, language: str) -> Endpoint:
    """Wrap a handler: rate limit, and each way to fail turned into a reason for the driver."""

    async def answer(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=_CORS)
        if wait_s := limit.wait_s(client_address(request)):
            said = words_for(request, language)
            return error_response(said("lnurl.too_many_requests", seconds=wait_s))
        try:
            return json_response(await handler(request))
        except Refused as error:
            return error_response(refusal_sentence(error, words_for(request, language)))
        except (AgentError, BadRequest, InvalidZapRequest, LinkingError) as error:
            return error_response(as_sentence(str(error)))
        except JournalError as error:
            _log.error("an LNURL request could not be stored: %s", error)
            return error_response(words_for(request, language)("lnurl.not_stored"))
        # A wallet shows nothing of an HTTP 500: whatever fails, it gets a reason to show.
        except Exception:  # noqa: BLE001 - see above
            _log.exception("an LNURL request failed")
            return error_response(words_for(request, language)("lnurl.failed"))

    return answer
