"""The tag of the wheel: it depends on the platform of the program, but on no version of Python."""

import os

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel


class ProgramDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True


class ProgramWheel(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", os.environ["FM_WHEEL_PLATFORM"]


setup(distclass=ProgramDistribution, cmdclass={"bdist_wheel": ProgramWheel})
