"""What the file of one cache block looks like.

header     magic, format version, identity, lengths of what follows
key        what the block is found by
tokens     its tokens
payload    its keys and values, as the backend lays them out
checksum   sha256 of all the above
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Verdict: TypeAlias = Literal["good", "other tokens", "damaged"]

_MAGIC = b"NanoAKV\n"
_VERSION = 1
_HEADER = struct.Struct("<8sI16sIIQ")
_CHECKSUM_BYTES = 32


class BlockFormat:
    """Names, encodes and reads the files of one kind of block.

    The identity and the format version are part of each file's name, so files of another kind are
    never looked at; one that was renamed is found out by its header.

    Args:
        identity: All that decides what the bytes of a block mean.
        payload_bytes: Size of a block's keys and values.
    """

    def __init__(self, identity: str, payload_bytes: int) -> None:
        kind = f"{_VERSION}:{payload_bytes}:{identity}".encode()
        self._identity = hashlib.blake2b(kind, digest_size=16).digest()
        self._payload_bytes = payload_bytes

    def name(self, key: bytes) -> str:
        """File name of a block."""
        return f"{self._identity.hex()}-{key.hex()}.kv"

    def size(self, key: bytes, tokens: bytes) -> int:
        """Bytes of a block's file."""
        return _HEADER.size + len(key) + len(tokens) + self._payload_bytes + _CHECKSUM_BYTES

    def encode(
        self, key: bytes, tokens: bytes, payload: NDArray[np.uint8]
    ) -> tuple[bytes, memoryview, bytes]:
        """The parts of a block's file, in order; the payload is not copied."""
        lengths = len(key), len(tokens), self._payload_bytes
        head = _HEADER.pack(_MAGIC, _VERSION, self._identity, *lengths) + key + tokens
        return head, payload.data, _checksum(head, payload)

    def read(self, path: Path, key: bytes, tokens: bytes, out: NDArray[np.uint8]) -> Verdict:
        """Read a file and check every byte of it.

        Args:
            path: The file.
            key: What it must hold the block of.
            tokens: The tokens that the block must stand for.
            out: u8[payload_bytes], overwritten in any case; the payload when the verdict is good.

        Raises:
            OSError: The file is absent or cannot be read.
        """
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return "damaged"
            *kind, key_bytes, token_bytes, payload_bytes = _HEADER.unpack(header)
            length = _HEADER.size + key_bytes + token_bytes + payload_bytes + _CHECKSUM_BYTES
            # Lengths that were damaged must not decide how much is read.
            if payload_bytes != out.nbytes or os.fstat(file.fileno()).st_size != length:
                return "damaged"
            names = file.read(key_bytes + token_bytes)
            filled = file.readinto(out.data)
            checksum = file.read(_CHECKSUM_BYTES)
        if filled != out.nbytes or checksum != _checksum(header + names, out):
            return "damaged"
        if kind != [_MAGIC, _VERSION, self._identity] or names[:key_bytes] != key:
            return "damaged"
        return "good" if names[key_bytes:] == tokens else "other tokens"


def _checksum(head: bytes, payload: NDArray[np.uint8]) -> bytes:
    # sha256 because processors compute it: twice as fast as blake2b there.
    digest = hashlib.sha256(head)
    digest.update(payload.data)
    return digest.digest()
