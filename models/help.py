"""The texts of `makemore --help`."""

from __future__ import annotations

EXAMPLES = """examples:
  makemore train                             the lecture's network on names.txt, 200,000 steps, into out/
  makemore train --steps 20000 --hidden 100  a smaller and shorter one
  makemore train --names mine.txt --out my   on a list of your own, one name a line
  makemore train --checkpoint-every 10000    one that can be killed; makemore train --resume goes on with it
  makemore train --profile trace.json        where the time of a step goes, for ui.perfetto.dev or speedscope.app
  mpirun -n 4 makemore train --ddp           each batch divided among four processes
  makemore sample -n 50 --temperature 0.8    fifty names from out/model.safetensors, rather likely ones
  makemore sample --start an                 twenty names that begin with "an"
  makemore eval --model my                   train, val and test loss of my/model.safetensors
  makemore check                             every gradient of the lecture's exercises beside the engine's
  makemore graph --page --open               one training step of out/ to look at, in the browser
  makemore graph --step 0 --fused --png      the first step, batch norm and cross entropy as one op each
  makemore graph --collapse 'linear*'        some layers as one box, here both linear ones
  makemore plot                              losses, activations, gradients and updates of out/, into out/plots/
  makemore export --onnx                     out/model.onnx, for any program that runs ONNX
  makemore export --safetensors --torch      out/torch.safetensors, for torch's load_state_dict()
  makemore import torch.safetensors --out my a network that torch trained, as my/model.safetensors
  makemore serve                             a page and a JSON API that make names, at http://127.0.0.1:8000
  makemore completion bash                   a script that completes commands and options on the tab key
"""

REST = """
options from elsewhere: makemore.toml here (or --config FILE) and the environment, as in
  [train]                                    MAKEMORE_TRAIN_HIDDEN=100 makemore train
  hidden = 100
  an option on the command line goes before the environment, that before the file; NO_COLOR=1 for no colours

exit status: 0 done, 1 a run that failed or a gradient that is wrong, 2 input that cannot be used,
  70 a mistake of this program (--debug shows where), 130 stopped by ctrl-C and 143 by SIGTERM (and saved),
  141 nobody reads on
"""


def epilog(command: str = "") -> str:
    """Examples of this command, or of all where it has none; then what holds for every command."""
    title, *lines = EXAMPLES.splitlines()
    own = [line for line in lines if f" makemore {command} " in f"{line} "]
    return "\n".join([title, *(own if command and own else lines)]) + "\n" + REST
