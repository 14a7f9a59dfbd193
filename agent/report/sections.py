"""The sections of the page that hold pictures, each with a caption, or with a sentence where there is no picture."""

from __future__ import annotations

from agent.eventlog import Header
from agent.reading import Run
from agent.report import curves, gathered, images, maps, spectra
from agent.report.gathered import Look
from agent.report.markup import card, grid, said, section
from agent.report.style import MEAN_MAP, SD_MAP, measured, scientific, svg
from hardware_bridge.report import Report, Target


def micrographs(run: Run) -> str:
    """Key images: one place followed through the run, and others."""
    followed, others = gathered.key_looks(run)
    shown = [
        [card(images.picture(look, seen), _image_caption(look)) for look in part if (seen := gathered.seen(run, look))]
        for part in (followed, others)
    ]
    if not any(shown):
        return section("What it saw", said("No image was taken, or none can be read."))
    words = (
        "HAADF images as they were scanned. Blue circles: held to be particles, at the radius claimed. "
        "Dashed orange: more likely debris. First one place early, midway and late, then other places."
    )
    return section("What it saw", said(words), *(grid(cards, 3) for cards in shown if cards))


def _image_caption(look: Look) -> str:
    p = look.percept
    debris = len(p.particles) - len(look.real)
    return (
        f"Turn {look.record.turn}, {look.time_s:.0f} s, field {p.width_nm:g} nm at ({p.x_nm:.0f}, {p.y_nm:.0f}) nm, "
        f"{look.fluence_e_per_A2:.2g} e/Å². Particles: {len(look.real)}, debris: {debris}."
    )


def places(run: Run, header: Header, seen: list[Look]) -> str:
    """Where it looked and what dose that gave."""
    limits = header.config.limits
    most = max((record.state.fluence_max_e_per_A2 for record in run.records), default=0.0)
    fluence = gathered.dose_map(run, header)
    cards = [
        card(
            svg(maps.visits_figure(seen, header), "visits", "map of visited fields"),
            "Fields looked at, dark early and bright late; looks at one place are drawn inside each other, the first "
            "outermost. Grid: the cells asked about. Crosses: spectra.",
        ),
        card(
            svg(maps.dose_figure(fluence, seen, header), "dose", "map of fluence"),
            f"Fluence charged to the specimen, an upper bound: at most {most or float(fluence.max()):.3g} e/Å² in one "
            f"cell of {limits.dose_cell_nm:g} nm, of {limits.max_fluence_e_per_A2:g} e/Å² allowed. White: not exposed.",
        ),
    ]
    return section("Where it looked, and the dose it gave", grid(cards, 2))


def belief(header: Header, claims: Report | None) -> str:
    """What is believed in the end, cell by cell."""
    wanted = maps.believed(header.card, claims)
    if claims is None or not wanted:
        why = "nothing was claimed" if claims is None else "this world asks for no quantity that has a map"
        return section("What it believes", said(f"There is no map of beliefs: {why}."))
    last_s = header.card.times_s[-1]
    words = {
        "covered_fraction": "Share of each cell that is covered",
        "count": "Number of particles in each cell",
    }
    cards = []
    for target in wanted:
        name, claimed = maps.spoken(target.name), claims.targets[target.name]
        mean = maps.belief_figure(header.card, claimed.mean, (MEAN_MAP, None, name))
        caption = f"{words.get(target.name, name)} at {last_s:g} s, claimed, as it would be without the beam."
        cards.append(card(svg(mean, f"mean-{target.name}", f"map of {name}"), caption))
        before = float(maps.at_end(header.card, target.prior_sd).max())
        sd = maps.belief_figure(header.card, claimed.sd, (SD_MAP, before, f"{name}, sd"))
        caption = "How sure it is of this, one standard deviation: dark is sure, brightest is what was known before."
        cards.append(card(svg(sd, f"sd-{target.name}", f"map of the standard deviation of {name}"), caption))
    return section("What it believes", grid(cards, 2))


def growth(run: Run, header: Header, claims: Report | None) -> str:
    """How particles grew, one by one and on average, and what is claimed of the whole."""
    followed = gathered.tracks(run)
    cards = []
    if followed:
        picture = svg(curves.radii_figure(followed), "radii", "radius over time")
        of = f"the {len(followed)} particles" if len(followed) > 1 else "the particle"
        caption = f"Radius of {of} seen most often, with standard deviations."
        cards.append(card(picture, caption))
    if claims is not None:
        for target in curves.curve_targets(header.card, claims):
            picture = svg(curves.course_figure(header.card, claims, target), f"course-{target.name}", target.name)
            caption = (
                f"{maps.spoken(target.name)} averaged over all cells, claimed (blue) and before the run (grey). Bands: "
                "standard deviation of a single cell."
            )
            empty = " A cell without particles counts as radius 0." if target.name == "mean_radius_nm" else ""
            cards.append(card(picture, caption + empty))
    readings = run.readings()
    for channel, words in curves.HOLDER.items():
        if readings and getattr(readings[0].holder, channel) is not None:
            picture = svg(curves.holder_figure(readings, channel), f"holder-{channel}", words)
            cards.append(card(picture, "What the holder's own sensor said, on the same clock as the images."))
    parts = [grid(cards, 3)] if cards else []
    if not followed and gathered.follows(header):
        parts.append(said("No particle was seen twice, so there are no growth curves of single ones."))
    numbers = [
        f"{maps.spoken(t.name)} {measured(claims.targets[t.name].mean[0], claims.targets[t.name].sd[0])}{_unit(t)} "
        f"(before the run {measured(t.prior_mean[0], t.prior_sd[0])}{_unit(t)})"
        for t in header.card.targets
        if claims is not None and t.kind == "global" and t.name in claims.targets
    ]
    if numbers:
        parts.append(said("Claimed of the whole specimen: " + "; ".join(numbers) + "."))
    return section("How it grew", *parts)


def stability(run: Run, header: Header, seen: list[Look]) -> str:
    """Focus, drift and beam current over time."""
    found = len(gathered.estimates(run, "defocus_error_nm"))
    told = (
        "Red: the C10 in focus, from two images of one place at different C10, ± 1 sd"
        if found
        else "No two images of one place told which C10 is in focus"
    )
    cards = [
        card(
            svg(curves.focus_figure(run, seen), "focus", "focus over time"),
            f"Focus (defocus is -C10). {told}. It changes with the place too, where the specimen is not flat.",
        )
    ]
    if len(gathered.estimates(run, "drift_x_nm")):
        caption = "Drift of the specimen against the instrument's coordinates, registered on the images; bands: ± 1 sd."
        cards.append(card(svg(curves.drift_figure(run), "drift", "drift over time"), caption))
    currents = gathered.currents(run, header)
    if len(currents):
        caption = "Beam current that the instrument measured, of what was set."
        cards.append(card(svg(curves.current_figure(currents), "current", "beam current over time"), caption))
    return section("Focus, drift and current", grid(cards, 2))


def spectrum(run: Run) -> str:
    """The best spectrum, and one of the other kind."""
    found = spectra.chosen(run)
    if not found:
        return section("Spectra", said("No spectrum was taken."))
    look = found[0][0]
    known = look.percept.estimates
    words = [
        f"{text} {measured(known[name].value, known[name].sd)}"
        for name, text in (
            ("thickness_t_over_lambda", "t/λ ="),
            ("oxygen_per_nm2", "O per nm²:"),
            ("copper_per_nm2", "Cu per nm²:"),
        )
        if name in known
    ]
    caption = (
        f"EELS, the spectrum with most electrons (turn {look.record.turn}, {look.time_s:.0f} s), summed over "
        f"{look.percept.width_nm:g} nm: {scientific(look.record.electrons, 1)} incident electrons. " + ", ".join(words)
    )
    caption = caption.rstrip(" ,") + "."
    if len(found) > 1:
        caption += f" Grey, beside it: {spectra.name(found[1][0])}."
    cards = [card(svg(spectra.full_figure(found), "eels", "EELS spectrum"), caption)]
    core = spectra.core_figure(found)
    if core is not None:
        caption = "The core losses of the same. A step at Cu L3 tells a particle from debris; O K is water and oxides."
        cards.append(card(svg(core, "core", "core losses"), caption))
    return section("Spectra", grid(cards, 2))


def _unit(target: Target) -> str:
    return f" {target.unit.replace('^2', '²')}" if target.unit else ""


def decisions(run: Run, header: Header, seen: list[Look], came: list[tuple[str, float]]) -> str:
    """What was done when, what was expected of it and what came in the end, (words, value), and what it cost."""
    lanes = svg(curves.lanes_figure(seen, header.end_s - header.start_s), "lanes", "timeline of decisions")
    parts = [card(lanes, "What was done when: a bar for every turn, a lane for every mode and whoever proposed it.")]
    cards = []
    information = curves.information_figure(seen)
    if information is not None:
        caption = "What each turn was predicted to add to the score, ± 1 sd."
        cards.append(card(svg(information, "information", "predicted information"), caption))
        figures = "".join(f" {words.capitalize()}: {value:+.3f}." for words, value in came)
        caption = (
            "The same, summed over the turns, against what came of it. Turns that would tell the same are each "
            f"predicted its whole gain, so the sum may pass what came.{figures}"
        )
        cards.append(card(svg(curves.running_figure(seen, came), "running", "predicted information summed"), caption))
    else:
        parts.append(said(f"The policy {header.config.policy.name} predicts no information."))
    caption = "Electrons charged against the time that has passed."
    cards.append(card(svg(curves.spending_figure(run, header), "spending", "electrons over time"), caption))
    return section("What it decided", *parts, grid(cards, 3 if information is not None else 2))
