"""The code that is generated for LND, and the server that plays LND, held to others."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from tests.wallet.lnbits_server import VENV
from tests.wallet.lnd.wallets import SAT
from tests.wallet.lnd_node import LndNode
from tests.wallet.lnd_server import LndServer
from wallet import lnd_pb2 as pb

ROOT = Path(__file__).resolve().parents[3]


def test_generated_code_is_up_to_date(tmp_path: Path) -> None:
    """As long as the installed generator is of the version that generated it."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"-I{ROOT}",
            f"--python_out={tmp_path}",
            f"--pyi_out={tmp_path}",
            "wallet/lnd.proto",
        ],
        check=True,
        cwd=ROOT,
    )
    made = (tmp_path / "wallet/lnd_pb2.py").read_text()
    kept = (ROOT / "wallet/lnd_pb2.py").read_text()
    version = re.compile(r"Protobuf Python Version: (\S+)")
    if version.findall(made) == version.findall(kept):
        assert made == kept
        assert (tmp_path / "wallet/lnd_pb2.pyi").read_text() == (
            ROOT / "wallet/lnd_pb2.pyi"
        ).read_text()


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("lnbits_installed")
async def test_lnbits_takes_our_server_for_an_lnd(
    server: LndServer, nodes: tuple[LndServer, LndNode], tmp_path: Path
) -> None:
    """Its own client, its own .proto: an independent opinion on the shape of our server."""
    _, other = nodes
    server.node.balance_msat = 1_000 * SAT
    request = other.add_invoice(50 * SAT, memo="from LNbits")
    (tmp_path / "tls.cert").write_bytes(server.certificate)
    (tmp_path / "lnbits").symlink_to(next((VENV / "lib").glob("python*/site-packages/lnbits")))
    script = Path(__file__).with_name("lnbits_lnd_client.py")
    process = await anyio.open_process(
        [VENV / "bin" / "python", script, request.payment_request],
        cwd=tmp_path,
        stderr=None,
        env={
            "LNBITS_DATA_FOLDER": str(tmp_path),
            "LNBITS_EXTENSIONS_PATH": str(tmp_path),
            "LND_GRPC_ENDPOINT": "127.0.0.1",
            "LND_GRPC_PORT": str(server.port),
            "LND_GRPC_CERT": str(tmp_path / "tls.cert"),
            "LND_GRPC_MACAROON": server.node.bake().hex(),
        },
    )
    assert process.stdout is not None
    assert process.stdin is not None
    text = ""
    async with process:
        async for chunk in TextReceiveStream(process.stdout):
            text += chunk
            if text.count("\n") == 1 and text.endswith("\n"):
                assert (await other.pay(text.split()[-1])).status == pb.Payment.SUCCEEDED
                await process.stdin.send(b"paid\n")
    result = json.loads(text.splitlines()[-1])
    assert result == {
        "error": None,
        "balance_msat": 1_000 * SAT,
        "invoice_ok": True,
        "open": True,
        "paid": True,
        "announced": True,
        "sent": True,
        "fee_msat": 0,
        "sent_status": True,
        "again": "invoice is already paid",
        "unknown_pending": True,
        "held_ok": True,
        "canceled": True,
        "canceled_status": True,
        "settled_canceled": False,
    }
