"""The parts of a run on code: its record, and the steps that `regreen.runner` is made of."""
