"""Extensions of Sphinx for this site: the rules with their pictures, the reference, formulas as MathML."""
