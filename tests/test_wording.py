"""Near matches and lists cut short, as messages show them."""

from detkit.wording import counted, did_you_mean, first_few, near_matches, the_nearest

NAMES = ["vgg16", "vgg19", "resnet50"]


def test_the_nearest_names_come_first_whatever_their_case():
    assert near_matches("VGG16", NAMES) == ["vgg16", "vgg19"]
    assert near_matches("VGG16", NAMES, most=1) == ["vgg16"]
    assert did_you_mean("vgg16", NAMES) == "; did you mean 'vgg16' or 'vgg19'?"
    assert the_nearest("resnet5", NAMES) == " (the nearest is 'resnet50')"


def test_without_a_near_name_nothing_is_offered():
    assert did_you_mean("faraway", NAMES) == the_nearest("faraway", NAMES) == ""


def test_a_long_list_is_cut_and_counted():
    assert first_few([]) == ""
    assert first_few([1, 2, 3]) == "1, 2, 3"
    assert first_few(range(9), most=2) == "0, 1 and 7 more"


def test_one_is_singular():
    assert [counted(number, "image") for number in range(3)] == ["0 images", "1 image", "2 images"]
