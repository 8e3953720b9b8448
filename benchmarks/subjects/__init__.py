"""What is measured, a file a subject: TITLE, tasks(quick), the processes it takes, and run(job), one of them."""

SUBJECTS = ("step", "scalar", "overhead", "chain", "large", "second", "imports", "sampling", "evaluation", "scale")
