"""What the examples share: names as Tensors, the training loop, new names from a model.

Like the examples it runs on torch too, with the first two imports changed to `import torch` and
`import torch.nn.functional as F`.
"""

import argparse
import os
import time
from pathlib import Path

# One thread: the matrices here are small, and several threads waiting for each other can be ten times slower.
# numpy reads it when it is first imported, and so it stands before that.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import minigrad as torch
import minigrad.nn.functional as F
from models.names import NamesError, Vocabulary, build_dataset, read_names, split_names

NAMES = Path(__file__).resolve().parents[1] / "names.txt"
LONGEST = 24  # characters of a sampled name: an untrained model may not find an end


def options(description, steps, lr):
    """The argparse parser that every example starts from, with its own default steps and learning rate."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--steps", type=whole, default=steps, help="training steps (%(default)s)")
    parser.add_argument("--lr", type=float, default=lr, help="learning rate (%(default)s)")
    parser.add_argument("--batch", type=whole, default=32, help="rows a step (%(default)s)")
    parser.add_argument("--seed", type=int, default=2147483647, help="of parameters, batches, samples (%(default)s)")
    parser.add_argument("--names", type=names, default=str(NAMES), help="a text file, one name a line (names.txt)")
    return parser


def whole(text):
    """An int from 1 up, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def names(path):
    """The names in a file, for argparse."""
    try:
        words = read_names(path)
        split_names(words, source=path)  # there must be enough of them
    except NamesError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return words


class Windows:
    """Names as rows of `block` characters and the one that follows them: "..e" -> "m"."""

    def __init__(self, words, block):
        self.vocab, self.block = Vocabulary(words), block
        train, val, _ = split_names(words)
        self.train, self.val = self._rows(train), self._rows(val)

    def _rows(self, words):
        return tuple(map(torch.from_numpy, build_dataset(words, self.vocab, self.block)))

    def loss(self, model, X, Y):
        return F.cross_entropy(model(X), Y)

    def next(self, model, tokens):
        """The logits of the character after `tokens`."""
        context = ([0] * self.block + tokens)[-self.block :]
        return model(torch.tensor([context]))[0]


class Sequences(Windows):
    """Whole names: at each place of a row the character to come; -1 in Y where a shorter name has ended."""

    def __init__(self, words):
        super().__init__(words, None)

    def _rows(self, words):
        self.block = self.block or max(map(len, words)) + 1
        X = np.zeros((len(words), self.block), np.int64)
        Y = np.full((len(words), self.block), -1, np.int64)
        for row, word in enumerate(words):
            tokens = self.vocab.encode(word[: self.block - 1])
            X[row, 1 : len(tokens) + 1] = tokens
            Y[row, : len(tokens) + 1] = [*tokens, 0]
        return torch.from_numpy(X), torch.from_numpy(Y)

    def loss(self, model, X, Y):
        logits = model(X)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), Y.view(-1), ignore_index=-1)

    def next(self, model, tokens):
        return model(torch.tensor([tokens[-self.block :]]))[0, -1]


def fit(batch_loss, optimizer, args, scheduler=None):
    """args.steps steps on the loss that `batch_loss()` gives; prints ten lines and returns every step's loss."""
    losses, every, start = [], max(1, args.steps // 10), time.perf_counter()
    for step in range(1, args.steps + 1):
        loss = batch_loss()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        losses.append(loss.item())
        if step % every == 0:
            print(f"step {step:6d}   loss {np.mean(losses[-every:]):.4f}")
    print(f"{args.steps} steps, {1000 * (time.perf_counter() - start) / args.steps:.2f} ms each")
    return losses


@torch.no_grad()
def mean_loss(data, model, split, rows=1000):
    """The loss over a split, (X, Y), some rows at a time, each target counted once."""
    X, Y = split
    total = count = 0
    for start in range(0, len(X), rows):
        part = slice(start, start + rows)
        targets = (Y[part] >= 0).sum().item()
        total += data.loss(model, X[part], Y[part]).item() * targets
        count += targets
    return total / count


@torch.no_grad()
def sample(next_logits, vocab, n, seed):
    """n new names: `next_logits` takes the tokens so far, which begin with 0, and gives the next one's logits."""
    g = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(n):
        tokens = [0]
        while len(tokens) <= LONGEST:
            probs = F.softmax(next_logits(tokens), dim=-1)
            ix = torch.multinomial(probs, num_samples=1, generator=g).item()
            if ix == 0:
                break
            tokens.append(ix)
        made.append(vocab.decode(tokens[1:]))
    return made


def run(data, model, optimizer, args, scheduler=None):
    """Train, measure, sample: the whole of an example once it has its model. Returns the losses of the steps."""
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    X, Y = data.train
    g = torch.Generator().manual_seed(args.seed)

    def batch_loss():
        ix = torch.randint(0, len(X), (args.batch,), generator=g)
        return data.loss(model, X[ix], Y[ix])

    losses = fit(batch_loss, optimizer, args, scheduler)
    model.eval()
    print(f"val loss {mean_loss(data, model, data.val):.4f}")
    print("names:", ", ".join(sample(lambda tokens: data.next(model, tokens), data.vocab, 8, args.seed + 10)))
    return losses
