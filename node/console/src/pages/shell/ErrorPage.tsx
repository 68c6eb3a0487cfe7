import { SearchX } from 'lucide-react';
import { ButtonLink } from '../../parts/links';
import { Page } from '../../parts/Page';
import { Empty, ErrorState } from '../../parts/States';
import { useText } from '../../text/TextProvider';

/** What is shown when a page itself could not be made. */
export function ErrorPage(props: { error: unknown; reset?: () => void }) {
  const { t } = useText();
  return (
    <main id="main" tabIndex={-1} className="bare-main">
      <Page title={t('problem.title')}>
        <ErrorState error={props.error} retry={() => window.location.reload()} />
      </Page>
    </main>
  );
}

/** No page at this address. */
export function MissingPage() {
  const { t } = useText();
  return (
    <main id="main" tabIndex={-1} className="bare-main">
      <Page title={t('missing.title')}>
        <Empty icon={<SearchX />} title={t('missing.where')} text={t('missing.text')}>
          <ButtonLink to="/">{t('missing.home')}</ButtonLink>
        </Empty>
      </Page>
    </main>
  );
}
