"""A hierarchical network: eight characters are joined two by two, and only then all of them.

Each level lays two neighbours side by side and gives them one layer, the same at every place: 8 characters become 4
pairs, 2 fours, 1 eight. Sources: van den Oord et al. 2016 (WaveNet); makemore, part 5 of the lectures.
"""

from common import Windows, options, run, whole
from mlp import BatchNorm1d, Tanh

import minigrad as torch

BLOCK, EMBD = 8, 10  # characters of context, numbers to a character


class FlattenConsecutive(torch.nn.Module):
    """(n, places, features) -> (n, places / size, size * features): `size` neighbours side by side.

    Where one place is left, its dimension goes: (n, features). ValueError if the places do not divide by size.
    """

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        n, places, features = x.shape
        if places % self.size:
            raise ValueError(f"{places} places cannot be joined {self.size} by {self.size}")
        x = x.view(n, places // self.size, self.size * features)
        return x.squeeze(1) if x.shape[1] == 1 else x


def build(vocab_size, hidden):
    """Embedding, three levels of FlattenConsecutive -> Linear -> BatchNorm1d -> Tanh, and the logits."""
    nn, width, layers = torch.nn, EMBD, [torch.nn.Embedding(vocab_size, EMBD)]
    for _ in range(3):
        layers += [FlattenConsecutive(2), nn.Linear(2 * width, hidden, bias=False), BatchNorm1d(hidden), Tanh()]
        width = hidden
    layers.append(nn.Linear(width, vocab_size))
    model = nn.Sequential(*layers)
    with torch.no_grad():
        layers[-1].weight *= 0.1  # so that the first guess favours no character
    return model


def main(argv=None):
    parser = options(__doc__, steps=5000, lr=0.1)
    parser.add_argument("--hidden", type=whole, default=68, help="features of each level (%(default)s)")
    args = parser.parse_args(argv)
    data = Windows(args.names, BLOCK)
    torch.manual_seed(args.seed)
    model = build(len(data.vocab), args.hidden)
    x = torch.tensor([[0] * BLOCK] * 2)
    for layer in model:
        x = layer(x)
        print(f"{type(layer).__name__:20s} {tuple(x.shape)}")

    torch.manual_seed(args.seed)
    model = build(len(data.vocab), args.hidden)  # anew: the look above has moved the batch norms' statistics
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=max(1, 3 * args.steps // 4), gamma=0.1)
    return run(data, model, optimizer, args, scheduler)


if __name__ == "__main__":
    main()
