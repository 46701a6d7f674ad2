"""``featx demo``."""


def demo() -> None:
    """Write sample images (handwritten digits) to data/train and data/test here, then extract, fit and score.

    The backbone is a small one with ImageNet weights. If these can't be downloaded, it is scattering, which needs no
    weights, and a message says so.
    """
    from featx.cli.show.progress import ModelProgress
    from featx.cli.show.scoring import files as show_files
    from featx.cli.show.scoring import reports as show_reports
    from featx.demo import run
    from featx.pipeline.naming import report_path

    with ModelProgress() as progress:
        reports = run(progress=progress)
    show_reports(reports)
    files = [report_path(report.model, report.test_set) for report in reports]
    show_files(reports, files, open_best=False)
