"""Pictures with boxes, as other tools write them, one record a picture out.

    COCO JSON, a folder of Pascal VOC's XML, a folder of YOLO's texts
        ->  Record(line=1, {"image": "1.png", "objects": [{"label": "cat", "box": [x, y, width, height]}, ...]})

No picture is opened here.  What the file says of a picture's size stands beside it as `size`, and is compared later with what
the picture has.  Boxes come as the file has them: `box` in pixels, `share` ([cx, cy, width, height]) in shares of the picture.
"""
