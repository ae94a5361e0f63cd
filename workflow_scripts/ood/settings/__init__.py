"""What models and methods may be told: typed, with ranges, and no torch.

A file for each method and one for the nets that methods share. A field's docstring says what it
does, in one line; a class's own facts say what its models or methods are and can.
"""
