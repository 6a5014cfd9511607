"""TensorFlow itself writes: our reader reads it, our writer writes the same."""

import numpy as np
import pytest
from bundle_writer import WRITTEN, checkpoint_arrays, same, write_bundle

from minigpt.tensorflow_bundle import read_bundle


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # its own
def test_tensorflow_writes_and_we_read(tmp_path):
    tf = pytest.importorskip(
        "tensorflow", reason="tensorflow is missing: pip install tensorflow-cpu"
    )
    flat = checkpoint_arrays()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, a in flat.items():
            tf.compat.v1.get_variable(name, initializer=a)
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(save_relative_paths=True)
        saver.save(session, str(tmp_path / "model.ckpt"))
    (tmp_path / "hparams.json").write_text('{"n_head": 2}')
    same(read_bundle(tmp_path)[0], flat)
    (tmp_path / "ours").mkdir()
    write_bundle(tmp_path / "ours", flat)
    for name in WRITTEN:  # the writer above, on which the other tests rest
        assert (tmp_path / name).read_bytes() == (tmp_path / "ours" / name).read_bytes()

    many = {f"model/h{i}/mlp/c_fc/b": np.float32([i, -i]) for i in range(9000)}
    for shard, names in enumerate([list(many)[::2], list(many)[1::2]]):
        tf.raw_ops.SaveV2(
            prefix=str(tmp_path / f"shard{shard}"),
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[many[name] for name in names],
        )
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(tmp_path / f"shard{shard}") for shard in (0, 1)],
        destination_prefix=str(tmp_path / "many"),
    )
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "many"\n')
    assert (tmp_path / "many.index").stat().st_size > 1 << 18  # more than one block
    same(read_bundle(tmp_path)[0], many)
