"""All is in pyproject.toml but one thing: the list of names goes into the wheel, so that `makemore train` has one."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithNames(build_py):
    """Copies names.txt, which lies at the top of the project, into the package models."""

    def run(self):
        super().run()
        if not self.editable_mode:  # where it is found beside the package
            self.copy_file("names.txt", str(Path(self.build_lib) / "models" / "names.txt"))


setup(cmdclass={"build_py": WithNames})
