"""Ask an OpenAI-compatible endpoint; finished answers stay on disk by the content of the question.

A killed run repeats no finished call: the answer is written, whole, before it is used. Busy or failing servers are
asked again with growing pauses; a refusal (wrong key, unknown model) ends the run.
"""

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import read_json, write_json

_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)
_LONGEST_PAUSE_S = 60.0


class NoAnswer(Exception):
    """The endpoint did not answer in any of the tries."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`url` is the base, such as http://127.0.0.1:8000/v1."""

    url: str
    model: str
    cache: Path
    key: str = ""
    timeout_s: float = 120.0
    tries: int = 5
    pause_s: float = 1.0
    max_tokens: int = 2048

    def ask(self, messages: list[dict[str, str]]) -> dict[str, Any]:
        """{"content", "finish_reason"} of the first choice.

        Raises NoAnswer after the last try, UserError when the endpoint refuses the request.
        """
        body = {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": self.max_tokens}
        data = json.dumps(body, ensure_ascii=False, sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()
        path = self.cache / digest[:2] / f"{digest}.json"
        try:
            return read_json(path)["answer"]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # not asked yet, or the file was damaged: ask
        answer = self._tried(data)
        write_json(path, {"model": self.model, "messages": messages, "answer": answer})
        return answer

    def _tried(self, data: bytes) -> dict[str, Any]:
        pause, reason = self.pause_s, ""
        for attempt in range(self.tries):
            if attempt:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            try:
                return self._posted(data)
            except urllib.error.HTTPError as error:
                reason = f"HTTP {error.code}"
                if error.code not in _AGAIN:
                    text = error.read(300).decode("utf-8", "replace")
                    refusal = f"{self.url} refused the request (HTTP {error.code}: {text})"
                    raise UserError(f"{refusal}; check --endpoint, --model and the key.") from error
                wait = error.headers.get("Retry-After", "")
                pause = min(float(wait), _LONGEST_PAUSE_S) if wait.isdigit() else pause
            except (OSError, http.client.HTTPException) as error:  # refused, reset, timed out, cut off
                reason = str(error) or type(error).__name__
            except (ValueError, KeyError, IndexError, TypeError) as error:
                reason = f"no chat completion ({error})"
        raise NoAnswer(f"no answer in {self.tries} tries: {reason}")

    def _posted(self, data: bytes) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", data, headers)
        with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
            choice = json.load(response)["choices"][0]
        content = choice["message"]["content"]
        if not isinstance(content, str):
            raise ValueError("content is not a text")
        return {"content": content, "finish_reason": choice.get("finish_reason")}
