"""``featx demo``."""


def demo() -> None:
    """Write sample images (handwritten digits) to data/train and data/test here, then extract, fit and score.

    The backbone is a small one with ImageNet weights. If these can't be downloaded, it is scattering, which needs no
    weights, and a message says so.
    """
    from featx.cli import show
    from featx.demo import run
    from featx.pipeline.naming import report_path

    with show.ModelProgress() as progress:
        reports = run(progress=progress)
    show.reports(reports)
    files = [report_path(report.model, report.test_set) for report in reports]
    show.files(reports, files, open_best=False)
