"""A small transformer: every place of a name looks back at those before it, and weighs them itself.

Layer norm before each part, causal self-attention with several heads, GELU in its tanh form, AdamW with a warm-up and
a cosine.
Sources: Vaswani et al. 2017; Radford et al. 2019 (GPT-2); makemore's transformer.
"""

import math

from common import Sequences, options, run, whole

import minigrad as torch
import minigrad.nn.functional as F


class CausalSelfAttention(torch.nn.Module):
    """y = softmax(q @ k.T / sqrt(d), ahead at -inf) @ v in each head: (n, places, width) of the same shape."""

    def __init__(self, width, heads, longest):
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} cannot be shared by {heads} heads")
        self.heads = heads
        self.qkv = torch.nn.Linear(width, 3 * width)
        self.out = torch.nn.Linear(width, width)
        self.register_buffer("ahead", torch.ones(longest, longest).triu(1) == 1)

    def forward(self, x):
        n, places, width = x.shape
        parts = self.qkv(x).view(n, places, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)  # each (n, heads, places, width / heads)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(self.ahead[:places, :places], float("-inf"))
        y = F.softmax(scores, dim=-1) @ v
        return self.out(y.transpose(1, 2).reshape(n, places, width))


class Block(torch.nn.Module):
    """x + attention(norm(x)), then x + hidden layer(norm(x))."""

    def __init__(self, width, heads, longest):
        super().__init__()
        nn = torch.nn
        self.attention = nn.Sequential(nn.LayerNorm(width), CausalSelfAttention(width, heads, longest))
        self.hidden = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, x):
        x = x + self.attention(x)
        return x + self.hidden(x)


class Transformer(torch.nn.Module):
    """Characters (n, places) and their places embedded -> blocks -> layer norm -> logits (n, places, vocab_size)."""

    def __init__(self, vocab_size, longest, width, heads, depth):
        super().__init__()
        nn = torch.nn
        self.characters, self.places = nn.Embedding(vocab_size, width), nn.Embedding(longest, width)
        self.blocks = nn.Sequential(*(Block(width, heads, longest) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocab_size, bias=False)

    def forward(self, idx):
        x = self.characters(idx) + self.places(torch.arange(idx.shape[1]))
        return self.head(self.norm(self.blocks(x)))


def main(argv=None):
    parser = options(__doc__, steps=3000, lr=3e-3)
    parser.add_argument("--width", type=whole, default=64, help="numbers to a place (%(default)s)")
    parser.add_argument("--heads", type=whole, default=4, help="attention heads (%(default)s)")
    parser.add_argument("--depth", type=whole, default=2, help="blocks (%(default)s)")
    args = parser.parse_args(argv)
    data = Sequences(args.names)
    torch.manual_seed(args.seed)
    model = Transformer(len(data.vocab), data.block, args.width, args.heads, args.depth)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.99), weight_decay=0.01)
    warm = max(1, args.steps // 20)

    def rate(step):
        return min((step + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * step / args.steps))

    return run(data, model, optimizer, args, torch.optim.lr_scheduler.LambdaLR(optimizer, rate))


if __name__ == "__main__":
    main()
