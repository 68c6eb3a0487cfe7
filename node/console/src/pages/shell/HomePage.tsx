import { Navigate } from '@tanstack/react-router';
import { FolderOpen } from 'lucide-react';
import { ButtonLink } from '../../parts/links';
import { Page } from '../../parts/Page';
import { Empty } from '../../parts/States';
import { useText } from '../../text/TextProvider';
import { useApplication, useMe } from './session';

/** The start: the library of the application used last. */
export function HomePage() {
  const { t } = useText();
  const me = useMe();
  const application = useApplication();
  if (application) return <Navigate to="/a/$app/library" params={{ app: application.id }} replace />;
  return (
    <Page title={t('home.none')}>
      <Empty icon={<FolderOpen />} title={t('home.none')} text={t('home.noneText')}>
        {me.user.admin && <ButtonLink to="/applications">{t('nav.applications')}</ButtonLink>}
      </Empty>
    </Page>
  );
}
