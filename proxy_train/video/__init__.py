"""One video to frames: files, folders of pictures, cameras."""
