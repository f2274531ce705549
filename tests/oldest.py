"""Print the lower end of every dependency's range, as constraints for pip: `make test-oldest` installs and tests with these."""

from importlib.metadata import requires

from packaging.requirements import Requirement

for requirement in map(Requirement, requires("aigc-lessons")):
    for bound in requirement.specifier:
        if bound.operator == ">=":
            print(f"{requirement.name}=={bound.version}.*")
