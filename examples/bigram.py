"""Bigrams: how often a character follows another, counted, and learnt by a network of one layer.

The counts, made probabilities, are the best that any model can do that sees one character. The network, a table of
27 x 27 logits, comes to the same loss by gradient descent. Source: makemore, part 1 of the lectures.
"""

from common import fit, options, sample

import minigrad as torch
import minigrad.nn.functional as F
from models.names import Vocabulary, build_dataset


def count(x, y, size):
    """N[i, j]: how often j comes right after i."""
    ones = torch.ones(len(x))
    return torch.zeros(size * size).index_add(0, x * size + y, ones).view(size, size)


def network_loss(W, N, smooth):
    """The mean loss over all pairs.

    Only as many inputs can be as there are characters, so each goes through the layer once, as one-hot row, and its
    loss counts as often as the pair was seen. `smooth` pulls all logits towards 0, as adding to the counts does.
    """
    x = F.one_hot(torch.arange(len(N)), num_classes=len(N)).float()
    logits = x @ W
    counts = logits.exp()
    probs = counts / counts.sum(1, keepdim=True)
    return -(N * probs.log()).sum() / N.sum() + smooth * (W**2).mean()


def main(argv=None):
    parser = options(__doc__, steps=300, lr=50.0)
    parser.add_argument("--smooth", type=float, default=0.0, help="weight of the mean square of W (%(default)s)")
    args = parser.parse_args(argv)
    vocab = Vocabulary(args.names)
    X, Y = map(torch.from_numpy, build_dataset(args.names, vocab, 1))
    x, size = X[:, 0], len(vocab)

    N = count(x, Y, size)
    P = (N + 1) / (N + 1).sum(1, keepdim=True)
    counted = -P[x, Y].log().mean()
    print(f"{len(x):,} pairs; counted, each count plus 1: loss {counted.item():.4f}")
    print("names:", ", ".join(sample(lambda tokens: P[tokens[-1]].log(), vocab, 8, args.seed)))

    W = torch.randn((size, size), generator=torch.Generator().manual_seed(args.seed), requires_grad=True)
    losses = fit(lambda: network_loss(W, N, args.smooth), torch.optim.SGD([W], lr=args.lr), args)
    print("names:", ", ".join(sample(lambda tokens: W[tokens[-1]], vocab, 8, args.seed)))
    return losses


if __name__ == "__main__":
    main()
