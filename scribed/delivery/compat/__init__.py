"""The same facts in the words of other stacks: one pure file each, each off by default."""
