"""A recurrent network: one state goes through the name from left to right, and tells what comes next.

Sources: Mikolov et al. 2010; makemore's RNN.
"""

from common import Sequences, options, run, whole

import minigrad as torch


class RNNCell(torch.nn.Module):
    """h' = tanh([x, h] @ W + b): x (n, width) and h (n, hidden) -> (n, hidden)."""

    def __init__(self, width, hidden):
        super().__init__()
        self.mix = torch.nn.Linear(width + hidden, hidden)

    def forward(self, x, h):
        return torch.tanh(self.mix(torch.cat([x, h], dim=1)))


class Recurrent(torch.nn.Module):
    """Any cell, (x, h) -> h', put to every place in turn; the logits are a linear layer of the state after it."""

    def __init__(self, cell, vocab_size, width, hidden):
        super().__init__()
        self.start = torch.nn.Parameter(torch.zeros(1, hidden))
        self.embedding = torch.nn.Embedding(vocab_size, width)
        self.cell = cell(width, hidden)
        self.head = torch.nn.Linear(hidden, vocab_size)

    def forward(self, idx):
        emb = self.embedding(idx)
        h = self.start.expand(len(idx), -1)
        states = []
        for place in range(idx.shape[1]):
            h = self.cell(emb[:, place], h)
            states.append(h)
        return self.head(torch.stack(states, dim=1))


def train(cell, description, argv, steps, lr):
    """An example's main with this cell."""
    parser = options(description, steps, lr)
    parser.add_argument("--width", type=whole, default=32, help="numbers to a character (%(default)s)")
    parser.add_argument("--hidden", type=whole, default=64, help="numbers in the state (%(default)s)")
    args = parser.parse_args(argv)
    data = Sequences(args.names)
    torch.manual_seed(args.seed)
    model = Recurrent(cell, len(data.vocab), args.width, args.hidden)
    return run(data, model, torch.optim.AdamW(model.parameters(), lr=args.lr), args)


def main(argv=None):
    return train(RNNCell, __doc__, argv, steps=3000, lr=3e-3)


if __name__ == "__main__":
    main()
