"""The test-and-set store in etcd, through the JSON gateway of its v3 interface.

A run has one key, made at its boot and never removed::

    /PREFIX/RUN    "ftvm store 1\\ngeneration 2\\nrun RUN\\nowner b\\n"

RUN is the run's id in hexadecimal, so that runs share a server and a prefix
without meeting; the value says it again, lest a key that was copied pass for
another run's. The generation is won by one transaction that puts the next
value if the key is still of the revision that was read, and else reads who was
first. Reads are linearizable, which is etcd's default: a member that lost its
quorum answers none of them.

A request whose answer was lost may have been applied, or may be applied later.
Neither matters: the key then names who asked, and who asks again for what it
holds has won it; and what comes late compares with a revision that is gone.

Interface: etcd 3.4 manual, "gRPC gateway" and "API reference" (KV, Txn).
"""

import base64
import http.client
import json
import time
from dataclasses import dataclass
from typing import Any

from ftvm.errors import UsageError
from ftvm.replication.arbitration import Outcome
from ftvm.runtime.stores import (
    RUN_BYTES,
    Holder,
    StoreUnreachableError,
    decode_holder,
    encode_holder,
    outcome_of,
)
from ftvm.units import Generation, Nanoseconds

PREFIX = "ftvm"
TIMEOUT_NS = Nanoseconds(2_000_000_000)
"""For one question. Commits take milliseconds, the election of a leader about a second."""

_ANSWER_BYTES_MAX = 1 << 22
"""More than a value may have by etcd's --max-request-bytes, in base64."""


@dataclass(frozen=True)
class _Found:
    """What the run's key says; revision 0 if there is no such key."""

    holder: Holder
    revision: int


class EtcdStore:
    """The store of one run in an etcd server or cluster.

    It is the `TestAndSet` that replicas arbitrate by, and answers as
    `FileStore` does. Every operation raises StateError if what is there was not
    written by this version for this run. Operations block, at most about
    `timeout`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        run: bytes,
        prefix: str = PREFIX,
        timeout: Nanoseconds = TIMEOUT_NS,
    ) -> None:
        """Use the server for the run with the id `run` (16 bytes); connects to nothing yet."""
        if len(run) != RUN_BYTES:
            raise UsageError(f"run id of {len(run)} bytes: give {RUN_BYTES}")
        self._host = host
        self._port = port
        self._run = run
        self._path = f"/{prefix}/{run.hex()}"
        self._timeout = timeout

    def current(self) -> Holder:
        """Who holds the newest generation.

        Raises StoreUnreachableError if the server gives no answer.
        """
        with _Conversation(self._host, self._port, self._timeout) as conversation:
            return self._find(conversation).holder

    def advance(self, expected: Generation, owner: str) -> Outcome:
        """Win the generation after `expected` for `owner`, or learn who did.

        `owner` names one process of the run, the same when it is restarted: who
        asks again for what it holds has won it. A win or loss is committed by
        the cluster on return; a store that lacks the expected generation is one
        that cannot be asked.
        """
        return outcome_of(self._advance, expected, owner)

    def _advance(self, expected: Generation, wanted: Holder) -> Holder:
        with _Conversation(self._host, self._port, self._timeout) as conversation:
            found = self._find(conversation)
            if found.holder.generation == expected:
                found = self._exchange(conversation, found.revision, wanted)
        if found.holder.generation < expected:
            raise StoreUnreachableError(
                f"store {self._host}:{self._port} cannot be used: {self._path} holds generation"
                f" {found.holder.generation}, which is older than {expected}"
            )
        return found.holder

    def _find(self, conversation: "_Conversation") -> _Found:
        answer = conversation.ask("/v3/kv/range", {"key": _base64(self._path.encode())})
        return self._found(conversation, answer)

    def _exchange(self, conversation: "_Conversation", revision: int, wanted: Holder) -> _Found:
        """Put `wanted` if the key is still of `revision`; return what it then says."""
        key = _base64(self._path.encode())
        value = _base64(encode_holder(wanted, self._run))
        question = {
            "compare": [
                {"key": key, "target": "MOD", "result": "EQUAL", "modRevision": str(revision)}
            ],
            "success": [{"requestPut": {"key": key, "value": value}}],
            "failure": [{"requestRange": {"key": key}}],
        }
        answer = conversation.ask("/v3/kv/txn", question)
        if answer.get("succeeded") is True:
            return _Found(wanted, 0)
        try:
            return self._found(conversation, answer["responses"][0]["response_range"])
        except (KeyError, IndexError, TypeError):
            raise conversation.failure("it answers what etcd does not") from None

    def _found(self, conversation: "_Conversation", answer: dict[str, Any]) -> _Found:
        pairs = answer.get("kvs", [])
        if not pairs:
            return _Found(Holder(Generation(0), ""), 0)
        try:
            content = base64.b64decode(pairs[0].get("value", ""), validate=True)
            revision = int(pairs[0]["mod_revision"])
        except (KeyError, IndexError, TypeError, AttributeError, ValueError):
            raise conversation.failure("it answers what etcd does not") from None
        place = f"{self._path} in etcd at {self._host}:{self._port}"
        return _Found(decode_holder(content, self._run, place), revision)


class _Conversation:
    """One connection to the server, for the few requests of one question."""

    def __init__(self, host: str, port: int, timeout: Nanoseconds) -> None:
        self._where = f"{host}:{port}"
        self._until_ns = time.monotonic_ns() + timeout
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout / 1e9)

    def __enter__(self) -> "_Conversation":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def failure(self, why: str) -> StoreUnreachableError:
        """Return the error that says why there is no answer."""
        return StoreUnreachableError(f"store {self._where} cannot be used: {why}")

    def ask(self, path: str, question: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a question; StoreUnreachableError if none comes in time."""
        try:
            status, content = self._post(path, json.dumps(question))
        except TimeoutError:
            raise self.failure("no answer in time") from None
        except (OSError, http.client.HTTPException) as error:
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise self.failure(" ".join(said.split())) from None
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        if status != http.HTTPStatus.OK:
            # Such as 503 with "etcdserver: no leader" of a cluster without a quorum.
            said = answer.get("error") if isinstance(answer, dict) else ""
            raise self.failure(f"HTTP status {status} {' '.join(str(said).split())[:200]}".strip())
        if not isinstance(answer, dict):
            raise self.failure("it answers what etcd does not")
        return answer

    def _post(self, path: str, body: str) -> tuple[int, bytes]:
        left_ns = self._until_ns - time.monotonic_ns()
        if left_ns <= 0:
            raise TimeoutError
        if self._connection.sock is not None:
            self._connection.sock.settimeout(left_ns / 1e9)
        self._connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        content = response.read(_ANSWER_BYTES_MAX + 1)
        if len(content) > _ANSWER_BYTES_MAX:
            raise http.client.HTTPException("its answer has no end")
        return response.status, content


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
