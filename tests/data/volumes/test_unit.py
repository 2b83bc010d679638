"""One volume from its file to its patch store; names of people, files and folders stay behind."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  its usual name
from pydicom import dcmread

from data.errors import ChainError
from data.patches.deid import pseudonym
from data.preparation import Refusal, Unit
from data.store.patch_store import PatchStore
from data.store.source_labels import read_source_labels
from data.synthetic.ct import Scans, draw_series, write_points
from data.volumes.listing import Listed, listed
from data.volumes.preparation import Volumes
from tests.data.volumes.ct_files import body_hu, write_series

KEY = b"0123456789abcdef"
NODULES = {"nodule": [(10.0, -20.0, 30.0), (-12.5, 4.0, 41.0)], "other": [(0.0, 14.0, 35.0)]}
SHAPE, SPACING, ORIGIN = (24, 60, 64), (1.1, 1.3, 2.0), (-36.0, -40.0, 12.0)


def world() -> np.ndarray:
    z, y, x = np.indices(SHAPE)
    return np.stack([x, y, z], -1) * SPACING + ORIGIN


def body() -> np.ndarray:
    """A trunk with nodules, (Z, Y, X) HU."""
    places = world()
    centre = np.array(ORIGIN) + np.array(SHAPE[::-1]) * SPACING / 2
    inside = (((places - centre)[..., :2] / [30, 34]) ** 2).sum(-1) < 1
    hu = np.where(inside, 40.0, -1000.0)
    for at in (at for points in NODULES.values() for at in points):
        hu[np.linalg.norm(places - at, axis=-1) < 3] = 300
    return hu.astype(np.int16)


def write_image(path: Path, values: np.ndarray, direction: np.ndarray | None = None) -> None:
    image = sitk.GetImageFromArray(values)
    image.SetDirection((np.eye(3) if direction is None else direction).ravel().tolist())
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """CANARYfolder/CANARYscan.mha with its masks and tables."""
    root = tmp_path / "CANARYfolder"
    write_image(root / "scans" / "CANARYscan.mha", body())
    write_image(root / "masks" / "CANARYscan_seg.nii.gz", (body() > 200).astype(np.uint8) * 7)
    rows = [f"CANARYscan,{x},{y},{z},{name}" for name, points in NODULES.items() for x, y, z in points]
    (root / "CANARY.csv").write_text("\n".join(["seriesuid,coordX,coordY,coordZ,class", *rows]) + "\n")
    (root / "CANARYtable.csv").write_text(
        "series,patient,site,label,split\nCANARYscan.mha,CANARYjane,north,ill,train\n"
    )
    return root


def config(root: Path, **keys) -> Volumes:
    plain = {"path": root / "scans", "spacing_mm": 1.0, "size_px": 16, "where": {"kind": "points"}, **keys}
    if plain["where"]["kind"] == "points":
        plain.setdefault("points", {"csv": root / "CANARY.csv"})
    return Volumes.model_validate_json(json.dumps(plain, default=str))


def made(section: Volumes, out: Path, threads: int = 1, unit: Unit | None = None):
    out.mkdir()
    told = []
    if unit is None:
        (unit,) = section.units(KEY)
    facts = section.prepare(unit, out, threads, lambda done, total: told.append((done, total)), KEY)
    assert told[-1] == (facts["patches"] + facts["quarantined"],) * 2
    json.dumps(facts, allow_nan=False)
    return PatchStore(out / "patches.h5"), facts


def everything(out: Path) -> bytes:
    return b"".join(path.name.encode() + path.read_bytes() for path in sorted(out.rglob("*")))


def test_patches_at_points_have_their_nodule_in_the_middle_and_their_class(scan, tmp_path):
    labels = {"kind": "points", "names": {"nodule": "1"}}
    store, facts = made(config(scan, shape="3d", labels=labels, table=scan / "CANARYtable.csv"), tmp_path / "out")
    assert (store.mode, store.size_px, store.depth, len(store)) == ("hu16", 16, 16, 3)
    given, table = read_source_labels(store.path), store.table()
    for row in range(3):
        x, y, z = (store.numbers[name][row] for name in ("x_mm", "y_mm", "z_mm"))
        label = "1" if (x, y, z) in [pytest.approx(at) for at in NODULES["nodule"]] else ""
        assert given.label[row] == label
        bright = np.argwhere(store.pixels(row) > 170) - 7.5
        assert np.abs(bright.mean(0)).max() < 0.6
        assert given.split[row] == "train"
        assert (table.patient[row], table.site[row]) == (pseudonym(KEY, "CANARYjane"), "north")
        assert table.slide[row] == pseudonym(KEY, "CANARYscan.mha")
    assert (facts["patches"], facts["quarantined"], facts["labels"], facts["unlabelled"]) == (3, 0, {"1": 2}, 1)
    assert facts["spacing_mm"] == list(SPACING)


@pytest.mark.parametrize("where", ["points", "grid"])
@pytest.mark.parametrize("shape", ["2d", "2.5d", "3d"])
def test_the_result_is_the_same_whatever_the_threads(scan, tmp_path, where, shape):
    at = {"kind": "grid", "stride_mm": 7, "region": "body", "min_share": 0.8} if where == "grid" else {"kind": "points"}
    section = config(scan, where=at, shape=shape, slices={"2d": 1, "2.5d": 3, "3d": 4}[shape])
    one = made(section, tmp_path / "one")
    four = made(section, tmp_path / "four", threads=4)
    assert one[1] == four[1]
    assert one[1]["patches"] > (2 if where == "points" else 10)
    assert everything(tmp_path / "one") == everything(tmp_path / "four")


def test_a_grid_in_the_body_labelled_by_a_mask_agrees_with_a_count_of_voxels(scan, tmp_path):
    folder = {"folder": scan / "masks", "suffix": "_seg"}
    labels = {"kind": "mask", "masks": folder, "otherwise": "none",
              "classes": [{"name": "nodule", "values": [7], "min_share": 0.05}]}  # fmt: skip
    where = {"kind": "grid", "stride_mm": 5, "region": "body"}
    store, facts = made(config(scan, where=where, labels=labels, spacing_mm=1.3, size_px=12), tmp_path / "out")
    lesion = body() > 200
    given = read_source_labels(store.path)
    seen = set()
    for row in range(len(store)):
        centre = [store.numbers[name][row] for name in ("x_mm", "y_mm", "z_mm")]
        x, y, z = ((np.array(centre) - ORIGIN) / SPACING).round(6)
        along = (np.arange(12) - 5.5) * 1.3
        columns = np.floor(x + along / SPACING[0] + 0.5 + 1e-9).astype(int)
        rows = np.floor(y + along / SPACING[1] + 0.5 + 1e-9).astype(int)
        assert min(rows.min(), columns.min()) >= 0, "a grid never leaves the volume"
        share = lesion[int(z)][np.ix_(rows, columns)].mean()
        expected = "nodule" if share >= 0.05 - 1e-12 else "" if share else "none"
        assert given.label[row] == expected
        assert store.numbers["outside"][row] == 0
        assert store.numbers["region"][row] >= 0.5
        seen.add(expected)
    assert seen == {"nodule", "", "none"}
    assert facts["labels"]["nodule"] + facts["labels"]["none"] + facts["unlabelled"] == len(store)


def test_the_labels_that_settings_name_are_known_before_there_is_a_patch(scan):
    names = {"kind": "points", "names": {"1": "nodule", "0": "none"}, "otherwise": "air"}
    assert config(scan, labels=names).named_labels() == ["nodule", "none", "air"]
    assert config(scan).named_labels() == []


def test_patches_of_a_region_lie_in_its_mask(scan, tmp_path):
    where = {"kind": "grid", "stride_mm": 2, "region": "mask", "values": [7], "min_share": 0.6,
             "masks": {"folder": scan / "masks", "suffix": "_seg"}}  # fmt: skip
    store, facts = made(config(scan, where=where, size_px=4), tmp_path / "out")
    assert facts["region_cm3"] == pytest.approx((body() > 200).sum() * np.prod(SPACING) / 1000, abs=0.1)
    centres = np.stack([store.numbers[name] for name in ("x_mm", "y_mm", "z_mm")], 1)
    nodules = np.array([at for points in NODULES.values() for at in points])
    assert np.linalg.norm(centres[:, None] - nodules, axis=-1).min(1).max() < 5
    with pytest.raises(ChainError, match=r"none of where\.values"):
        made(config(scan, where={**where, "values": [8]}, size_px=4), tmp_path / "none")


def test_a_point_outside_is_quarantined_by_its_place_and_over_the_limit_the_volume_fails(scan, tmp_path):
    with (scan / "CANARY.csv").open("a") as file:
        file.write("CANARYscan,500,0,30,nodule\nCANARYscan,-35,-39,13,nodule\n")
    section = config(scan, where={"kind": "points", "max_outside": 0.2}, quarantine_limit=0.4)
    store, facts = made(section, tmp_path / "out")
    assert (len(store), facts["quarantined"]) == (3, 2)
    with (tmp_path / "out" / "quarantine.csv").open() as file:
        reasons = {row["key"]: row["reason"] for row in csv.DictReader(file)}
    assert "mm outside the volume" in reasons["x+500.000_y+0.000_z+30.000"]
    assert "max_outside" in reasons["x-35.000_y-39.000_z+13.000"]
    with pytest.raises(ChainError, match=r"2 of 5 patches .* prepare.quarantine_limit") as caught:
        made(config(scan, where={"kind": "points", "max_outside": 0.2}), tmp_path / "over")
    assert caught.value.code == 65
    assert (tmp_path / "over" / "quarantine.csv").exists()
    assert not (tmp_path / "over" / "patches.h5").exists()


def test_rows_about_no_volume_and_volumes_without_rows_are_named_by_line_or_hash(scan, tmp_path):
    write_image(scan / "scans" / "CANARYother.mha", body())
    with (scan / "CANARY.csv").open("a") as file:
        file.write("CANARYgone,1,2,3,nodule\n")
    with pytest.raises(ChainError, match="line 5 is about no volume") as caught:
        config(scan).units(KEY)
    assert "CANARY" not in "".join(caught.value.lines())
    (unit,) = config(scan, unmatched="skip").units(KEY)
    assert unit.name == pseudonym(KEY, "CANARYscan.mha")
    (scan / "CANARY.csv").write_text((scan / "CANARY.csv").read_text().replace("CANARYgone", "sub/../CANARYscan.mha"))
    with pytest.raises(ChainError, match="line 5"):
        config(scan).units(KEY)
    (scan / "CANARY.csv").write_text("\n".join((scan / "CANARY.csv").read_text().splitlines()[:4]) + "\n")
    found = {one.name: one for one in config(scan).units(KEY)}
    refusal = found[pseudonym(KEY, "CANARYother.mha")]
    assert isinstance(refusal, Refusal)
    assert "has no point" in refusal.error.what
    assert refusal.error.code == 66
    assert isinstance(found[unit.name], Unit)


def test_one_name_for_two_volumes_is_refused(scan):
    write_image(scan / "scans" / "again" / "CANARYscan.mha", body())
    with pytest.raises(ChainError, match="lines 2, 3, 4 may mean several volumes") as caught:
        config(scan).units(KEY)
    assert "CANARY" not in "".join(caught.value.lines())


def test_a_series_uid_of_two_patients_is_refused_where_a_row_or_a_mask_goes_by_it(tmp_path):
    for patient in ("p1", "p2"):
        write_series(tmp_path / "scans" / patient, body_hu((6, 20, 20)), tags={"PatientID": patient})
    (tmp_path / "t.csv").write_text("series,patient\n1.2.3.4,CANARY\n")
    (tmp_path / "p.csv").write_text("seriesuid,coordX,coordY,coordZ\n1.2.3.4,-4,-14,34\n")
    write_image(tmp_path / "masks" / "1.2.3.4.mha", np.ones((6, 20, 20), np.uint8))
    grid = {"kind": "grid", "stride_mm": 4}
    by_mask = {**grid, "region": "mask", "masks": {"folder": tmp_path / "masks"}}
    for keys, said in (
        ({"where": grid, "table": tmp_path / "t.csv"}, "line 2 may mean several volumes"),
        ({"points": {"csv": tmp_path / "p.csv"}}, "line 2 may mean several volumes"),
        ({"where": by_mask}, "1 mask may mean volumes of several patients"),
    ):
        with pytest.raises(ChainError, match=said) as caught:
            config(tmp_path, unmatched="skip", **keys).units(KEY)
        assert caught.value.code == 65
    (tmp_path / "t.csv").write_text("series,site\np1,north\np2,south\n")
    section = config(tmp_path, where=grid, table=tmp_path / "t.csv", size_px=4)
    sites = set()
    for unit in section.units(KEY):
        store, _ = made(section, tmp_path / unit.name, unit=unit)
        sites |= {(store.table().patient[0], store.table().site[0])}
    assert sites == {(pseudonym(KEY, "p1"), "north"), (pseudonym(KEY, "p2"), "south")}


def test_one_mask_is_not_laid_on_the_volumes_of_two_patients_that_have_the_same_name(tmp_path):
    for folder in ("a", "b"):
        write_image(tmp_path / "scans" / folder / "ct.nii.gz", body())
    write_image(tmp_path / "masks" / "ct.nii.gz", np.ones(SHAPE, np.uint8))
    table = tmp_path / "t.csv"
    where = {"kind": "grid", "stride_mm": 4, "region": "mask", "masks": {"folder": tmp_path / "masks"}}
    for second, keys in (("p2", {"table": table}), ("p1", {}), ("", {"table": table})):
        table.write_text(f"series,patient\na/ct.nii.gz,p1\nb/ct.nii.gz,{second}\n")
        with pytest.raises(ChainError, match="1 mask may mean volumes of several patients"):
            config(tmp_path, where=where, **keys).units(KEY)
    table.write_text("series,patient\na/ct.nii.gz,p1\nb/ct.nii.gz,p1\n")
    assert len(config(tmp_path, where=where, table=table).units(KEY)) == 2, "two reconstructions of one patient"


@pytest.mark.parametrize(("folder", "suffix"), [(".", "_seg"), ("masks", ""), ("masks", "_seg")])
def test_masks_that_lie_beside_their_volumes_are_no_volumes(tmp_path, folder, suffix):
    masks = tmp_path / "scans" / folder
    for name in ("one", "two"):
        write_image(tmp_path / "scans" / f"{name}.mha", body())
        write_image(masks / f"{name}{suffix}.nii.gz", (body() > 200).astype(np.uint8))
    files = {"folder": masks, "suffix": suffix}
    classes = [{"name": "nodule", "values": [1], "min_share": 0.01}]
    grid = {"kind": "grid", "stride_mm": 16}
    labels = {"labels": {"kind": "mask", "masks": files, "classes": classes}, "where": grid}
    for keys in (labels, {"where": {**grid, "region": "mask", "masks": files}}):
        units = config(tmp_path, **keys).units(KEY)
        assert {one.name for one in units} == {pseudonym(KEY, f"{name}.mha") for name in ("one", "two")}
        assert all(isinstance(one, Unit) for one in units)


def test_where_all_files_are_masks_no_volume_is_found(scan):
    masks = {"folder": scan / "masks", "suffix": "_seg"}
    where = {"kind": "grid", "stride_mm": 16, "region": "mask", "masks": masks}
    with pytest.raises(ChainError, match="no volume is found") as caught:
        config(scan, path=scan / "masks", where=where).units(KEY)
    assert caught.value.code == 66
    assert "mask" in caught.value.why


def test_only_what_concerns_a_volume_changes_its_fingerprint(scan, tmp_path):
    write_image(scan / "scans" / "other.mha", body())
    with (scan / "CANARY.csv").open("a") as file:
        file.write("other,1,2,30,nodule\n")
    keys = {"table": scan / "CANARYtable.csv", "unmatched": "skip"}
    name = pseudonym(KEY, "CANARYscan.mha")

    def fingerprints() -> dict[str, str]:
        return {one.name: one.fingerprint for one in config(scan, **keys).units(KEY)}

    before = fingerprints()
    (scan / "CANARY.csv").write_text((scan / "CANARY.csv").read_text().replace("other,1,2,30", "other,1,2,31"))
    after = fingerprints()
    assert after[name] == before[name]
    assert len([one for one in after if after[one] != before[one]]) == 1
    table = scan / "CANARYtable.csv"
    table.write_text(table.read_text().replace("ill", "well"))
    assert fingerprints()[name] != before[name]


def test_accepting_a_fault_concerns_the_volumes_that_have_it(tmp_path):
    scans = Scans(patients=2, candidates=3)
    for index in range(2):
        draw_series(tmp_path, scans, index)
    write_points(tmp_path, scans)
    whole, lacking = (pseudonym(KEY, scans.series_uid(index)) for index in range(2))
    positions = {path: dcmread(path).ImagePositionPatient[2] for path in (tmp_path / "scans" / "p01").iterdir()}
    sorted(positions, key=lambda path: positions[path])[12].unlink()
    keys = {"path": tmp_path / "scans", "points": {"csv": tmp_path / "candidates.csv"}}

    def units(*accept: str):
        return {one.name: one for one in config(tmp_path, accept=accept, **keys).units(KEY)}

    assert isinstance(units()[lacking], Refusal)
    mended = units("missing_slices")
    assert mended[whole] == units()[whole] == units("uneven_spacing", "gantry_tilt")[whole]
    assert mended[lacking] == units("gantry_tilt", "missing_slices")[lacking]
    assert mended[whole] != units("not_hu")[whole], "whether values are HU is not known before they are read"
    _, facts = made(config(tmp_path, accept=["missing_slices"], **keys), tmp_path / "out", unit=mended[lacking])
    assert [note.split(":")[0] for note in facts["notes"]] == ["missing_slices"]


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd", ".mhd", ""], ids=lambda ending: ending or "DICOM")
def test_accepting_oblique_axes_concerns_the_volumes_that_have_them(tmp_path, ending):
    turned = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    for name, direction in (("straight", np.eye(3)), ("oblique", turned)):
        folder = tmp_path / "scans" / name
        if ending:
            write_image(folder / f"{name}{ending}", body(), direction)
        else:
            write_series(folder, body_hu(), orientation=(*direction[:, 0], *direction[:, 1]), series=f"1.{len(name)}")
    (tmp_path / "t.csv").write_text("series,site\n" + "".join(f"{n}{ending},{n}\n" for n in ("straight", "oblique")))
    keys = {"where": {"kind": "grid", "stride_mm": 5, "region": "volume"}, "table": tmp_path / "t.csv", "size_px": 8}

    def units(*accept: str):
        return {one.row.site: one.unit for one in listed(config(tmp_path, accept=accept, **keys), KEY)
                if isinstance(one, Listed)}  # fmt: skip

    accepted = units("oblique")
    assert accepted["straight"] == units()["straight"] == units("missing_slices")["straight"]
    refused = [one for one in listed(config(tmp_path, **keys), KEY) if isinstance(one, Refusal)]
    assert [one.error.what.split(": ")[1] for one in refused] == ["oblique"], "headers tell before anything is read"
    assert accepted["oblique"] == units("oblique", "gantry_tilt")["oblique"]
    section = config(tmp_path, accept=["oblique"], **keys)
    for name, unit in accepted.items():
        _, facts = made(section, tmp_path / name, unit=unit)
        assert [note.split(":")[0] for note in facts["notes"]] == ["oblique"] * (name == "oblique")


def test_a_volume_that_changed_since_it_was_listed_is_refused(scan, tmp_path):
    section = config(scan)
    (unit,) = section.units(KEY)
    write_image(scan / "scans" / "CANARYscan.mha", body() + np.int16(1))
    with pytest.raises(ChainError, match="has changed while it was prepared") as caught:
        made(section, tmp_path / "out", unit=unit)
    assert caught.value.code == 78


def test_dicom_series_with_points_of_luna16s_form(tmp_path):
    scans = Scans(patients=1, candidates=6)
    draw_series(tmp_path, scans, 0)
    write_points(tmp_path, scans)
    keys = {"path": tmp_path / "scans", "points": {"csv": tmp_path / "candidates.csv"}, "size_px": 24}
    section = config(tmp_path, shape="2.5d", slice_mm=2.5, labels={"kind": "points"}, **keys)
    (unit,) = section.units(KEY)
    assert unit.name == pseudonym(KEY, scans.series_uid(0))
    store, facts = made(section, tmp_path / "out")
    with (tmp_path / "candidates.csv").open() as file:
        rows = {(float(r["coordX"]), float(r["coordY"]), float(r["coordZ"])): r["class"] for r in csv.DictReader(file)}
    assert len(store) == len(rows) == facts["patches"]
    given = read_source_labels(store.path)
    for row in range(len(store)):
        at = tuple(round(float(store.numbers[name][row]), 2) for name in ("x_mm", "y_mm", "z_mm"))
        assert given.label[row] == rows[at]
        patch = store.pixels(row).astype(float)
        # a finding is denser than the lung around it
        assert patch[10:14, 10:14, 1].mean() > np.median(patch[:, :, 1]) + 50
    wrote = everything(tmp_path / "out")
    for canary in (scans.series_uid(0), "Drawn", "drawn-0", "p00", "im000", str(tmp_path), "20200101"):
        assert canary.encode() not in wrote


def test_nothing_that_names_a_person_gets_out(scan, tmp_path, capfd, caplog):
    said = []
    for number, keys in enumerate(
        (
            {"table": scan / "CANARYtable.csv", "labels": {"kind": "volume"}},
            {"where": {"kind": "grid", "stride_mm": 9, "region": "mask",
                       "masks": {"folder": scan / "masks", "suffix": "_seg"}, "min_share": 0.01}},
            {"where": {"kind": "grid", "stride_mm": 9, "region": "mask", "masks": {"folder": scan / "CANARYgone"}}},
            {"where": {"kind": "grid", "stride_mm": 9, "region": "mask", "masks": {"folder": scan / "masks"}}},
            {"points": {"csv": scan / "CANARYgone.csv"}},
            {"points": {"csv": scan / "CANARYtable.csv"}},
            {"table": scan / "CANARY.csv"},
            {"path": scan / "CANARYgone"},
            {"size_px": 500, "where": {"kind": "grid", "stride_mm": 9}},
            {"id_key": scan / "CANARYkey"},
        )
    ):  # fmt: skip
        section = config(scan, **keys)
        try:
            section.secret()
            for unit in section.units(KEY):
                if isinstance(unit, Refusal):
                    said += [unit.shown, unit.name, *unit.error.lines()]
                else:
                    made(section, tmp_path / f"out{number}", unit=unit)
        except ChainError as error:
            said += error.lines()
    assert len(said) >= 3 * 7
    assert "CANARY" not in "\n".join(said)
    made_ones = [path for path in tmp_path.glob("out*") if (path / "thumbnail.jpg").exists()]
    assert len(made_ones) == 2
    for out in made_ones:
        assert b"CANARY" not in everything(out)
    assert "CANARY" not in "".join(capfd.readouterr()) + caplog.text


def test_the_thumbnail_shows_slices_with_the_patches_on_them(scan, tmp_path):
    import simplejpeg

    made(config(scan, shape="2d"), tmp_path / "out")
    sheet = simplejpeg.decode_jpeg((tmp_path / "out" / "thumbnail.jpg").read_bytes())
    assert sheet.shape == (240, 3 * 240, 3), "three points, three slices"
    colour = np.ptp(sheet.astype(int), axis=-1) > 80
    for cell in np.split(colour, 3, axis=1):
        ys, xs = np.nonzero(cell)
        # 16 mm of 78 mm of the longer side in 240 px
        assert np.ptp(ys) == pytest.approx(16 * 240 / 78, abs=3)
        assert np.ptp(xs) == pytest.approx(16 * 240 / 78, abs=3)
