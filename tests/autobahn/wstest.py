# wstest with the packages of the folder that is its first argument.
import site
import sys

site.addsitedir(sys.argv.pop(1))
from autobahntestsuite.wstest import run

run()
