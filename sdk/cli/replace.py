"""`replace`: put manifests in the place of the objects that they name."""

from __future__ import annotations

from raftsman import errors

from . import failure, output, targets
from .session import Session
from .verb import Failure, flag, verb
from .writing import check_written, options_of, suffix, with_validation


@verb()
@targets.with_files
@output.with_output
@output.with_dry_run
@with_validation
@flag("--force", help="Delete the object and create it again.")
async def replace(
    session: Session, filenames: tuple[str, ...], recursive: bool, output: str, dry_run: str, validate: str,
    force: bool,
) -> None:  # fmt: skip
    """Replace objects by what manifests say: `replace -f file.yaml`."""
    from . import output as formats

    formats.check(output)
    for document in await targets.documents_of(session, filenames, recursive=recursive):
        try:
            check_written(document)
            target = targets.of_documents([document], session)[0]
            message, client = target.resource.message, session.client
            if dry_run == "client":
                obj = await client.get(message, target.name, namespace=target.namespace)
            elif force and dry_run == "none":
                await client.delete(message, target.name, namespace=target.namespace)
                await client.wait(message, target.name, lambda o: o is None, namespace=target.namespace, timeout_s=60)
                obj = await client.create_manifest(
                    message, document.value, namespace=target.namespace, options=options_of(dry_run, validate)
                )
            else:
                obj = await client.update_manifest(
                    message, document.value, namespace=target.namespace, options=options_of(dry_run, validate)
                )
        except Failure as error:
            session.fail(f"error: {error.message}")
        except errors.Unavailable:
            raise
        except errors.Invalid as error:
            session.fail(failure.text(error))
        except errors.ApiError as error:
            session.fail(failure.text(error, doing=f'error when replacing "{document.source}"'))
        else:
            if output:
                formats.objects([(target.resource, obj)], output, single=True)
            else:
                session.say(f"{target} replaced{suffix(dry_run)}")
