"""Makes `infra/types/table.json` from published facts: the SDK's input names, and what magic-modules says of each field."""
