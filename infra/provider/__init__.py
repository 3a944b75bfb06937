"""The rehearsal provider: the `gcp` resource types that are used here, as calls of Google's REST APIs at the twin's front door.

It exists for rehearsal only and says so: it is installed into a twin's own PULUMI_HOME and refuses to run without one. On
Google Cloud the real `pulumi-resource-gcp` is used.
"""
