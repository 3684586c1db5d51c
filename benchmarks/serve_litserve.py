"""What serving is measured beside: LitServe, which gathers requests into padded batches.

python -m benchmarks.serve_litserve labels FOLDER PORT
"""

from __future__ import annotations

import sys
from typing import Any

import litserve

from benchmarks.serve_fastapi import labels, opened

TOGETHER, WAIT_S = 16, 0.01
"""As many as there are clients, and how long it waits for them."""


class Labels(litserve.LitAPI):  # at the top of a file, for its worker unpickles it
    """Texts to labels with their scores."""

    def setup(self, device: Any) -> None:
        self.model, self.tokenizer = opened(sys.argv[1], sys.argv[2])

    def decode_request(self, request) -> str:  # unannotated: it would look for a parameter of that type
        return str(request["inputs"])

    def predict(self, texts: list[str]) -> list[Any]:
        return labels(self.model, self.tokenizer, texts)

    def encode_response(self, output: Any) -> Any:
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        Labels(max_batch_size=TOGETHER, batch_timeout=WAIT_S),
        accelerator="cpu",
        healthcheck_path="/ready",
        timeout=600,
    )
    server.run(port=int(sys.argv[3]), generate_client_file=False, log_level="error")
