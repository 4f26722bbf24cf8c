"""HTTP request heads (RFC 9112), accepted and rejected, and response heads."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb_py.protocols.http import HttpError, decode_head, encode_head


def head(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


def test_kubelet_probe_request_is_decoded() -> None:
    found = decode_head(
        head(
            "GET /readyz?verbose HTTP/1.1",
            "Host: 10.0.0.1:7472",
            "User-Agent: kube-probe/1.31",
            "Accept: */*",
            "Connection: close",
        )
    )
    assert (found.method, found.path, found.version) == ("GET", "/readyz", 1)
    assert found.fields["user-agent"] == "kube-probe/1.31"
    assert found.content_length == 0
    assert not found.keep_alive


def test_api_server_webhook_request_is_decoded() -> None:
    found = decode_head(
        head(
            "POST /validate?timeout=5s HTTP/1.1",
            "Host: webhook-service.metallb-system.svc:443",
            "Content-Length: 1234",
            "Content-Type: application/json",
        )
    )
    assert (found.method, found.path) == ("POST", "/validate")
    assert found.content_length == 1234
    assert found.keep_alive


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("GET / HTTP/1.1", "Host: a"), True),
        (("GET / HTTP/1.1", "Host: a", "Connection: Close"), False),
        (("GET / HTTP/1.1", "Host: a", "Connection: x", "Connection: close"), False),
        (("GET / HTTP/1.0",), False),
        (("GET / HTTP/1.0", "Connection: keep-alive"), True),
    ],
)
def test_keep_alive_follows_version_and_connection_header(
    lines: tuple[str, ...], expected: bool
) -> None:
    assert decode_head(head(*lines)).keep_alive is expected


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("GET /",), 400),
        (("GET  / HTTP/1.1", "Host: a"), 400),
        (("GET / HTTP/1.1 ", "Host: a"), 400),
        (("G(T / HTTP/1.1", "Host: a"), 400),
        (("GET /\x80 HTTP/1.1", "Host: a"), 400),
        (("GET / HTTP/1.1",), 400),
        (("GET / HTTP/1.1", "Host: a", "no colon"), 400),
        (("GET / HTTP/1.1", "Host: a", " folded: x"), 400),
        (("GET / HTTP/1.1", "Host: a", "Name : x"), 400),
        (("GET / HTTP/1.1", "Host: a", "X: \x00"), 400),
        (("GET / HTTP/1.1", "Host: a", "X: a\rY: b"), 400),
        (("GET / HTTP/1.1", "Host: a", "X: a\nContent-Length: 3"), 400),
        (("GET / HTTP/1.1", "Host: a", "Content-Length: 3", "Content-Length: 3"), 400),
        (("GET / HTTP/1.1", "Host: a", "Content-Length: +3"), 400),
        (("GET / HTTP/1.1", "Host: a", "Content-Length: 3,3"), 400),
        (("GET / HTTP/1.1", "Host: a", "Content-Length: \xb2"), 400),
        (("GET / HTTP/1.1", "Host: a", "Content-Length: " + "9" * 5000), 400),
        (("GET / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), 411),
        (("GET / HTTP/1.1", "Host: a", *(f"X{n}: y" for n in range(200))), 431),
        (("GET / HTTP/2.0", "Host: a"), 505),
        (("PRI * HTTP/2.0",), 505),
    ],
)
def test_malformed_request_head_is_rejected_with_its_status(
    lines: tuple[str, ...], status: int
) -> None:
    with pytest.raises(HttpError) as caught:
        decode_head(head(*lines))
    assert caught.value.status == status


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_raise_http_error(data: bytes) -> None:
    try:
        decode_head(data + b"\r\n\r\n")
    except HttpError:
        return


@given(
    st.lists(
        st.sampled_from(
            [
                b"GET", b" ", b"/", b"HTTP/1.1", b"\r\n", b"Host:", b"a", b"Content-Length:", b"7",
                b",", b":", b"\t", b"\r", b"\n", b"\x00", b"\xff", b"Connection: close",
            ]
        ),
        max_size=40,
    )
)  # fmt: skip
def test_shuffled_parts_of_a_head_decode_or_raise_http_error(pieces: list[bytes]) -> None:
    try:
        found = decode_head(b"GET / HTTP/1.1\r\n" + b"".join(pieces) + b"\r\n\r\n")
    except HttpError:
        return
    assert "\n" not in "".join(found.fields.values())
    assert found.content_length >= 0


def test_response_head_states_length_and_connection() -> None:
    fields = {"Content-Type": "text/plain"}
    assert encode_head(HTTPStatus.OK, fields, 3, keep_alive=True) == head(
        "HTTP/1.1 200 OK", "Content-Type: text/plain", "Content-Length: 3"
    )
    assert b"\r\nConnection: close\r\n" in encode_head(
        HTTPStatus.NOT_FOUND, fields, 0, keep_alive=False
    )
