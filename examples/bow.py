"""A bag of words: what comes next is told from the plain mean of all characters so far.

The mean is written as attention would be: scores of 0, -inf where a place would look ahead, softmax, and a matrix
product with the values. Source: makemore's bag-of-words model.
"""

from common import Sequences, options, run, whole

import minigrad as torch
import minigrad.nn.functional as F


class Bag(torch.nn.Module):
    """y[i] = mean(x[0], ..., x[i]): (n, places, width) of the same shape."""

    def __init__(self, longest):
        super().__init__()
        scores = torch.zeros(longest, longest).masked_fill(torch.ones(longest, longest).triu(1) == 1, float("-inf"))
        self.register_buffer("weights", F.softmax(scores, dim=-1))

    def forward(self, x):
        places = x.shape[1]
        return self.weights[:places, :places] @ x


class BagOfWords(torch.nn.Module):
    """Character and place embedded, the bag added to them, one hidden layer added to that, logits."""

    def __init__(self, vocab_size, longest, width):
        super().__init__()
        nn = torch.nn
        self.characters, self.places = nn.Embedding(vocab_size, width), nn.Embedding(longest, width)
        self.bag = Bag(longest)
        self.hidden = nn.Sequential(nn.Linear(width, 2 * width), nn.Tanh(), nn.Linear(2 * width, width))
        self.head = nn.Linear(width, vocab_size)

    def forward(self, idx):
        x = self.characters(idx) + self.places(torch.arange(idx.shape[1]))
        x = x + self.bag(x)
        return self.head(x + self.hidden(x))


def main(argv=None):
    parser = options(__doc__, steps=3000, lr=3e-3)
    parser.add_argument("--width", type=whole, default=64, help="numbers to a character (%(default)s)")
    args = parser.parse_args(argv)
    data = Sequences(args.names)
    torch.manual_seed(args.seed)
    model = BagOfWords(len(data.vocab), data.block, args.width)
    return run(data, model, torch.optim.AdamW(model.parameters(), lr=args.lr), args)


if __name__ == "__main__":
    main()
