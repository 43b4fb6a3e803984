"""The monotonic clock of the store, in seconds. A simulation puts its own in place of `now`."""

import time

now = time.monotonic
