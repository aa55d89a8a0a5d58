import os

# Keras, which some tests compare with, reads its backend when it is imported.
os.environ["KERAS_BACKEND"] = "jax"
