"""The listing of a followed channel whose handle passes to a stranger, without a worker."""

from __future__ import annotations

from pathlib import Path

from kb.database import Database
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.listing_jobs import record_poll, run_listing, subscription_listing
from kb.jobs.queue.source_factory import SourceFactory
from kb.library import Library
from kb.settings import Settings
from kb.sources.subscriptions import Subscriptions
from tests.fakes.youtube import Channel, FakeYouTube
from tests.support.keys import fake_key

UC, OTHER = f"UC{'t' * 22}", f"UC{'o' * 22}"


def test_a_stranger_with_the_handle_is_reported_with_the_subscription(tmp_path: Path) -> None:
    channel = Channel(UC, "@talks", 4)
    with FakeYouTube([channel], {fake_key("a"): 1000}) as fake:
        settings = Settings(
            KB_HOME=tmp_path / "home",
            YT_API_ENDPOINT=fake.url,
            YT_API_KEYS=fake_key("a"),
            YT_API_KEYS_FILE=str(tmp_path / "none.txt"),
        )
        database = Database.open(settings)
        library = Library(settings.home)
        library.prepare()
        store, followed = ItemStore(database), Subscriptions(database, library)
        followed.follow("@talks")

        def check() -> None:
            (subscription,) = followed.list()
            job = subscription_listing(subscription)
            notice = run_listing(
                job,
                {},
                SourceFactory(settings, database),
                store,
                library,
                lambda *_: None,
                lambda: None,
                followed,
            )
            record_poll(followed, job, notice)

        check()
        (subscription,) = followed.list()
        assert (subscription.channel_id, subscription.error) == (UC, "")
        channel.handle, channel.new_uploads = "@official", 1
        stranger = Channel(OTHER, "@talks", 3, title="Stranger")
        fake.channels.append(stranger)
        check()
        (subscription,) = followed.list()
        assert "Stranger" in subscription.error and subscription.problem is not None
        assert subscription.problem["code"] == "youtube.name_moved"
        queued = {row.id for row in store.summaries()}
        assert queued == {f"youtube:{channel.video_id(n)}" for n in range(-1, 4)}
        channel.handle = "@talks"
        fake.channels.remove(stranger)
        check()
        assert followed.list()[0].error == ""
        database.close()
