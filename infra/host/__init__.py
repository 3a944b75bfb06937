"""Regreen's own small Python language host, for engines that were built without Pulumi's."""
