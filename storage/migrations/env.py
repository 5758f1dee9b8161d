"""What alembic runs to migrate; `storage.migrate` hands it a connection whose transaction is open."""

from alembic import context

from storage.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
