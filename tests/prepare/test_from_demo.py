"""The demo corpus as a source of data."""

from tests.prepare_project import Project


def test_the_demo_corpus_has_one_label_per_text(project: Project) -> None:
    project.fails("`prepare.multi_label`", source="demo", multi_label=True)
