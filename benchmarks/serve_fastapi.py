"""What serving is measured beside, each as its own tutorials put it together; for `benchmarks.serve`.

python -m benchmarks.serve_peers fastapi labels FOLDER PORT        FastAPI and Transformers, one request after the other
python -m benchmarks.serve_peers litserve labels FOLDER PORT       LitServe, which gathers requests into padded batches
"""

from __future__ import annotations

import sys
import threading
from typing import Any


def labels(model: Any, tokenizer: Any, texts: list[str]) -> list[list[dict[str, Any]]]:
    """Each text's labels with their scores, the surest first."""
    import torch

    with torch.inference_mode():
        read = tokenizer(texts, truncation=True, padding=len(texts) > 1, return_tensors="pt")
        told = model(**read).logits.softmax(-1)
    orders = told.argsort(descending=True).tolist()
    return [
        [{"label": model.config.id2label[place], "score": float(scores[place])} for place in order]
        for scores, order in zip(told, orders, strict=True)
    ]


def opened(kind: str, folder: str) -> tuple[Any, Any]:
    """A plain model and its tokenizer."""
    import torch
    import transformers

    auto: Any = (
        transformers.AutoModelForCausalLM
        if kind == "chat"
        else transformers.AutoModelForSequenceClassification
    )
    model = auto.from_pretrained(folder, dtype=torch.float32).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def fastapi(kind: str, folder: str, port: int) -> None:
    """One request after the other."""
    import torch
    import uvicorn
    from fastapi import FastAPI

    model, tokenizer = opened(kind, folder)
    app, lock = FastAPI(), threading.Lock()

    @app.get("/ready")
    def ready() -> dict[str, str]:
        return {}

    @app.post("/predict")
    def predict(body: dict[str, Any]) -> list[dict[str, Any]]:
        with lock:
            return labels(model, tokenizer, [body["inputs"]])[0]

    @app.post("/v1/chat/completions")
    def chat(body: dict[str, Any]) -> dict[str, Any]:
        with lock, torch.inference_mode():
            words = {"add_generation_prompt": True, "return_tensors": "pt", "return_dict": True}
            read = tokenizer.apply_chat_template(body["messages"], **words)
            made = model.generate(**read, max_new_tokens=body["max_tokens"], do_sample=False)
        ids = made[0, read["input_ids"].shape[1] :]
        text = tokenizer.decode(ids, skip_special_tokens=True).strip()
        tokens = int((ids != model.generation_config.eos_token_id).sum())
        return {"choices": [{"message": {"content": text}}], "usage": {"completion_tokens": tokens}}

    uvicorn.run(app, port=port, log_config=None)


if __name__ == "__main__":
    fastapi(sys.argv[1], sys.argv[2], int(sys.argv[3]))
