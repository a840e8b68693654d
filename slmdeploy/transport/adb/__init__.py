"""An Android device, by Google's ``adb`` program."""
